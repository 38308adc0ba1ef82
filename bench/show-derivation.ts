// The baseline of `drv-parse` and `ingest`: asking Nix's programs about derivations, and reading their JSON.
import { dirname, join } from 'node:path';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { type RealStore, runNix } from './real-store.ts';

/** How many derivations other servers ask the programs about at a time. */
export const batchSize = 150;

/** What every side counts, so that none leaves out work. */
export interface Read {
  readonly derivations: number;
  readonly edges: number;
  readonly variables: number;
}

interface ShownDerivation {
  readonly inputDrvs: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

/** Adds what `nix show-derivation` printed. */
const addShown = (sum: Read, json: string): Read => {
  const shown = Object.values(JSON.parse(json) as Readonly<Record<string, ShownDerivation>>);
  return {
    derivations: sum.derivations + shown.length,
    edges: shown.reduce((edges, { inputDrvs }) => edges + Object.keys(inputDrvs).length, sum.edges),
    variables: shown.reduce((variables, { env }) => variables + Object.keys(env).length, sum.variables),
  };
};

const nothing: Read = { derivations: 0, edges: 0, variables: 0 };

export interface Programs {
  readonly nix: NixInstallation;
  readonly store: RealStore;
}

const show = ({ nix, store }: Programs, args: readonly string[]): Promise<string> =>
  runNix(nix, {
    command: join(dirname(nix.programs.store), 'nix'),
    args: ['show-derivation', '--store', store.root, ...args],
  });

export const showClosure = async (programs: Programs): Promise<Read> =>
  addShown(nothing, await show(programs, ['-r', ...programs.store.tops]));

export const showInBatches = async (programs: Programs): Promise<Read> => {
  const { paths } = programs.store;
  let read = nothing;
  for (let start = 0; start < paths.length; start += batchSize) {
    read = addShown(read, await show(programs, paths.slice(start, start + batchSize)));
  }
  return read;
};

export const findOldNix = async (): Promise<NixInstallation | null> => {
  const nix = await findNix(process.env).catch(() => null);
  // Newer programs print another JSON; the baseline is what this comparison was set up with.
  return nix !== null && /^2\.([0-9]|1[0-9])\./.test(nix.version) ? nix : null;
};
