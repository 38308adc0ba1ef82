// Asks a cache over HTTP which paths it has: for each its narinfo, the little file that Nix itself asks for.
import type { StorePath } from '@eka-ci/core/ids';
import { createTurns } from '../lib/turns.ts';
import { CacheError } from './cache.ts';
import { faultOfAnswer, readBody, type WebAnswer, type WebClient } from './web-client.ts';

const atOnce = 16;
/** Its references take about 60 bytes each. */
const maxNarinfoBytes = 4 * 1024 * 1024;

/** `<hash>.narinfo`, beside nix-cache-info. */
export const narinfoName = (path: StorePath, storeDir: string): string =>
  `${path.slice(storeDir.length + 1, storeDir.length + 33)}.narinfo`;

/** A server that answers everything with 200 has nothing for that. */
export const isNarinfoOf = (text: string, path: StorePath): boolean =>
  text.startsWith(`StorePath: ${path}\n`) || text.includes(`\nStorePath: ${path}\n`);

/**
 * Absent: 404 and 410; also a plain 403, for so does a bucket answer that may be read and not listed, and Nix takes it for
 * that as well.
 */
const isThere = async (answer: WebAnswer, path: StorePath, name: string): Promise<boolean> => {
  if (answer.status === 200) return isNarinfoOf(await readBody(answer.body, maxNarinfoBytes), path);
  if (answer.status === 404 || answer.status === 410) {
    const { s3Code, fault } = await faultOfAnswer(answer, `GET ${name}`);
    if (s3Code === 'NoSuchBucket') throw new CacheError(fault);
    return false;
  }
  const { s3Code, fault } = await faultOfAnswer(answer, `GET ${name}`);
  if (answer.status === 403 && (s3Code === '' || s3Code === 'AccessDenied')) return false;
  throw new CacheError(fault);
};

export interface NarinfoQuestion {
  readonly client: WebClient;
  /** With a slash at its end. */
  readonly base: string;
  readonly storeDir: string;
}

/**
 * One request a path, some at a time.
 * @throws CacheError where one is not answered: the others are not waited for; the signal's reason
 */
export const askNarinfos = async (
  { client, base, storeDir }: NarinfoQuestion,
  paths: Iterable<StorePath>,
  signal: AbortSignal,
): Promise<Set<StorePath>> => {
  const turns = createTurns(atOnce);
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const found = new Set<StorePath>();
  const ask = async (path: StorePath): Promise<void> => {
    const name = narinfoName(path, storeDir);
    const answer = await client.send({ method: 'GET', url: `${base}${name}` }, either);
    if (await isThere(answer, path, name)) found.add(path);
  };
  try {
    await Promise.all(Array.from(new Set(paths), (path) => turns.take(() => ask(path), either)));
  } catch (error) {
    failed.abort(error);
    signal.throwIfAborted();
    throw error;
  }
  return found;
};
