// What a record says of its derivation is read from the `.drv` file itself: evaluated code can put any `outPath`,
// `system` or `name` beside a `drvPath`, and a plan that believed it could be told that nothing changed.
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { DrvPath } from '@eka-ci/core/ids';
import { DerivationError, parseDerivation, textOf } from '../derivation.ts';
import { detach } from '../derivation-facts.ts';
import { maxDerivationBytes, openFlags, tooLarge } from '../derivation-files.ts';
import { derivationNameOf, parseDrvPath, StorePathError } from '../store-path.ts';

export interface EvaluatedDerivation {
  readonly drvPath: DrvPath;
  readonly name: string;
  readonly system: string;
  /** Output name to path; null where it is not known before the build. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

export type ReadFacts =
  | { readonly kind: 'read'; readonly facts: EvaluatedDerivation }
  | { readonly kind: 'refused'; readonly reason: string };

const factsOf = (drvPath: DrvPath, text: string): EvaluatedDerivation => {
  const { outputs, system } = parseDerivation(text, drvPath);
  return {
    drvPath,
    name: derivationNameOf(drvPath),
    system: detach(textOf(system)),
    outputs: Object.fromEntries(
      outputs.map(({ name, path }) => [detach(textOf(name)), path === '' ? null : detach(path)]),
    ),
  };
};

/** What bears such a name in the store may be anything: a link out of it, say, to a device that has no end. Null then. */
const readFile = (path: DrvPath): string | null => {
  const file = openSync(path, openFlags);
  try {
    const found = fstatSync(file);
    return found.isFile() && found.size <= maxDerivationBytes ? readFileSync(file, 'latin1') : null;
  } finally {
    closeSync(file);
  }
};

/**
 * Reads the file of a path that evaluated code gave. Synchronously: it was written a moment ago and takes 20 µs, where
 * a round through the thread pool takes a millisecond on a busy machine, as often as there are attributes.
 */
export const readEvaluatedDerivation = (path: string, storeDir: string): ReadFacts => {
  try {
    const drvPath = parseDrvPath(path, storeDir);
    const text = readFile(drvPath);
    if (text === null)
      return { kind: 'refused', reason: `${path} is no file of a derivation, or ${tooLarge}` };
    return { kind: 'read', facts: factsOf(drvPath, text) };
  } catch (error) {
    if (error instanceof StorePathError || error instanceof DerivationError) {
      return { kind: 'refused', reason: error.message };
    }
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'ENOENT') return { kind: 'refused', reason: `there is no derivation ${path}` };
    // As open(2) says of a link that is not to be followed.
    if (code === 'ELOOP') return { kind: 'refused', reason: `${path} is no file of a derivation` };
    throw error;
  }
};
