// How a daemon says what came of a build.
import type { StorePath } from '@eka-ci/core/ids';
import { z } from 'zod';
import { withoutAnsi } from '../internal-json.ts';
import { parseStorePath, StorePathError } from '../store-path.ts';
import { protocolError } from './daemon-error.ts';
import { type DaemonGreeting, REALISATION_WITH_PATH } from './handshake.ts';
import { readStorePath } from './path-info.ts';
import type { WireReader } from './wire-reader.ts';

/** In the order of the protocol's numbers, from 0. */
const statuses = [
  'built',
  'substituted',
  'already-valid',
  'permanent-failure',
  'input-rejected',
  /** The builder was done, and Nix does not take what it made: another hash, a missing output, a forbidden reference. */
  'output-rejected',
  'transient-failure',
  /** No longer used. */
  'cached-failure',
  /** Of silence, or of time in all. */
  'timed-out',
  'misc-failure',
  'dependency-failed',
  'log-limit-exceeded',
  'not-deterministic',
  'resolves-to-already-valid',
  'no-substituters',
] as const;

export type BuildStatus = (typeof statuses)[number];
export type BuildSuccess = 'built' | 'substituted' | 'already-valid' | 'resolves-to-already-valid';
export type BuildFailure = Exclude<BuildStatus, BuildSuccess>;

interface BuildFacts {
  /** As it was asked for: `formatTarget` of one target. */
  readonly target: string;
  /** Rounds; 0 where nothing was built. */
  readonly timesBuilt: number;
  /** Seconds since 1970; null where nothing was built, or Nix left them out (2.8 and 2.26 do for a time-out). */
  readonly startTime: number | null;
  readonly stopTime: number | null;
  /** Microseconds; only where the daemon's Nix counts them (protocol 1.37 and control groups). */
  readonly cpuUserUs: number | null;
  readonly cpuSystemUs: number | null;
}

export type DaemonBuildResult =
  | (BuildFacts & {
      readonly kind: 'success';
      readonly status: BuildSuccess;
      /** By name. Not told by every version for every kind of derivation. */
      readonly builtOutputs: ReadonlyMap<string, StorePath>;
    })
  | (BuildFacts & {
      readonly kind: 'failure';
      readonly status: BuildFailure;
      /** Nix's, ANSI colours taken out. May quote the builder's last lines, each after `> `. */
      readonly message: string;
      readonly isNonDeterministic: boolean;
    });

const isSuccess = (status: BuildStatus): status is BuildSuccess =>
  status === 'built' ||
  status === 'substituted' ||
  status === 'already-valid' ||
  status === 'resolves-to-already-valid';

/** Where results come from. */
export interface ResultSource extends Pick<DaemonGreeting, 'minor' | 'features'> {
  readonly storeDir: string;
}

const readStatus = async (reader: WireReader): Promise<BuildStatus> => {
  const number = await reader.number();
  const status = statuses[number];
  if (status === undefined) throw protocolError(`a build with the status ${number}`);
  return status;
};

/** The year 2100 and everything after is a number that was never set. */
const latestTime = 4_102_444_800n;

const readTime = async (reader: WireReader): Promise<number | null> => {
  const time = await reader.bigint();
  return time > 0n && time < latestTime ? Number(time) : null;
};

const readCpuTime = async (reader: WireReader): Promise<number | null> => {
  const tag = await reader.number();
  if (tag > 1) throw protocolError(`an optional number tagged ${tag}`);
  return tag === 0 ? null : Number(await reader.bigint());
};

/** `outPath` is a base name. */
const Realisation = z.object({ outPath: z.string() });

const parseRealisation = (text: string, storeDir: string): StorePath => {
  try {
    return parseStorePath(`${storeDir}/${Realisation.parse(JSON.parse(text)).outPath}`, storeDir);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError || error instanceof StorePathError) {
      throw protocolError(`an output that reads ${JSON.stringify(text.slice(0, 200))}`);
    }
    throw error;
  }
};

/** Keyed by `sha256:<hash of the derivation>!<output>`, each with JSON. */
const readOutputsByHash = async (reader: WireReader, storeDir: string): Promise<Map<string, StorePath>> => {
  const outputs = new Map<string, StorePath>();
  for (let left = await reader.count('outputs'); left > 0; left--) {
    const id = await reader.string();
    const name = id.slice(id.indexOf('!') + 1);
    outputs.set(name, parseRealisation(await reader.string(), storeDir));
  }
  return outputs;
};

const readOutputsByName = async (reader: WireReader, storeDir: string): Promise<Map<string, StorePath>> => {
  const outputs = new Map<string, StorePath>();
  for (let left = await reader.count('outputs'); left > 0; left--) {
    const name = await reader.string();
    outputs.set(name, await readStorePath(reader, storeDir));
    await reader.strings('signatures');
  }
  return outputs;
};

const readResult = async (reader: WireReader, source: ResultSource): Promise<DaemonBuildResult> => {
  const target = await reader.string();
  const status = await readStatus(reader);
  const message = withoutAnsi(await reader.cutString());
  const timesBuilt = await reader.number();
  const isNonDeterministic = await reader.boolean();
  const [startTime, stopTime] = [await readTime(reader), await readTime(reader)];
  const hasCpuTimes = source.minor >= 37;
  const cpuUserUs = hasCpuTimes ? await readCpuTime(reader) : null;
  const cpuSystemUs = hasCpuTimes ? await readCpuTime(reader) : null;
  const builtOutputs = source.features.has(REALISATION_WITH_PATH)
    ? await readOutputsByName(reader, source.storeDir)
    : await readOutputsByHash(reader, source.storeDir);
  const facts = { target, timesBuilt, startTime, stopTime, cpuUserUs, cpuSystemUs };
  return isSuccess(status)
    ? { kind: 'success', status, builtOutputs, ...facts }
    : { kind: 'failure', status, message, isNonDeterministic, ...facts };
};

export const readBuildResults = async (
  reader: WireReader,
  source: ResultSource,
): Promise<DaemonBuildResult[]> => {
  const results: DaemonBuildResult[] = [];
  for (let left = await reader.count('results'); left > 0; left--) {
    results.push(await readResult(reader, source));
  }
  return results;
};
