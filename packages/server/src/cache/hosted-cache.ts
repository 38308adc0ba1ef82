// A cache that a program of its own writes and any HTTP client can ask: Cachix, Attic.
import type { StorePath } from '@eka-ci/core/ids';
import { findProgram } from '@eka-ci/process';
import type { LoadedCredentials } from '../credentials/credentials.ts';
import { createSecretMask } from '../lib/secret-mask.ts';
import type { Cache, CacheHealth, PushOutcome, PushRequest } from './cache.ts';
import { CacheError } from './cache.ts';
import type { CacheDeps, CacheSettings } from './cache-deps.ts';
import { createCacheFrame } from './cache-frame.ts';
import { askCacheInfo } from './cache-info.ts';
import { childEnvironment } from './child-environment.ts';
import { signedByOthers } from './foreign-signatures.ts';
import { closureOf } from './local-closure.ts';
import { askNarinfos } from './narinfo.ts';
import { type PrivateFolder, withPrivateFolder } from './private-folder.ts';
import { complaintFault, passing, refused } from './push-fault.ts';
import { type ProgramRun, runProgram } from './run-program.ts';
import { type WebPlace, type WebSession, type WebSessionDeps, withWebSession } from './web-session.ts';

export interface HostedPush {
  readonly paths: readonly StorePath[];
  readonly values: LoadedCredentials['values'];
  readonly folder: PrivateFolder;
  readonly signal: AbortSignal;
}

export interface HostedKind extends WebPlace {
  /** Its name on PATH. */
  readonly program: string;
  /** One after the other. No secret is among their arguments. */
  runsFor(push: HostedPush): Promise<readonly Omit<ProgramRun, 'program'>[]>;
}

interface HostedStore extends WebSessionDeps {
  readonly kind: HostedKind;
}

const findIt = ({ nix, kind: { program } }: HostedStore): string => {
  const found = findProgram(program, nix.env['PATH']);
  if (found !== null) return found;
  throw new CacheError(
    refused('unsupported', `the program ${program} is not installed: it pushes to this cache`),
  );
};

const send = async (
  store: HostedStore,
  asked: Omit<HostedPush, 'folder' | 'signal'>,
  signal: AbortSignal,
): Promise<readonly string[] | null> => {
  const program = findIt(store);
  return withPrivateFolder(async (folder) => {
    for (const run of await store.kind.runsFor({ ...asked, folder, signal })) {
      const env = { ...childEnvironment(store.nix, folder.path), ...run.env };
      const complaints = await runProgram({ ...run, env, program }, signal);
      if (complaints !== null) return complaints;
    }
    return null;
  });
};

/** What a program says is kept and shown. */
const withoutSecrets = (lines: readonly string[], values: LoadedCredentials['values']): readonly string[] => {
  const mask = createSecretMask(Array.from(values.values(), (secret) => secret.reveal().trim()));
  return lines.map((line) => mask.text(line));
};

/** Its operator makes it, so it is there before the first push. @throws CacheError */
const checkPlace = async (
  { destination }: HostedStore,
  session: WebSession,
  signal: AbortSignal,
): Promise<void> => {
  const info = await askCacheInfo(session, signal);
  if (info === 'there') return;
  throw new CacheError(
    info === 'absent'
      ? refused(
          'destination',
          `there is no cache at ${destination}: is its name right, and has it been made?`,
        )
      : refused(
          'unauthorized',
          'it answered GET nix-cache-info with status 403: its credentials may not read it',
        ),
  );
};

const push = (store: HostedStore, { paths }: PushRequest, signal: AbortSignal): Promise<PushOutcome> =>
  withWebSession(store, signal, async (session) => {
    const { nix, kind } = store;
    await closureOf(store, paths, signal);
    await checkPlace(store, session, signal);
    const there = await askNarinfos(session, paths, signal);
    const missing = paths.filter((path) => !there.has(path));
    if (missing.length === 0) return { kind: 'pushed', sentPaths: 0, sentBytes: 0 };
    const foreign = await signedByOthers(nix, missing, signal);
    const complaints = await send(store, { paths: missing, values: session.values }, signal);
    if (complaints !== null) return complaintFault(withoutSecrets(complaints, session.values), kind.program);
    const arrived = await askNarinfos(session, missing, signal);
    const lost = missing.find((path) => !arrived.has(path) && !foreign.has(path));
    return lost === undefined
      ? { kind: 'pushed', sentPaths: null, sentBytes: null }
      : passing(`${kind.program} says that it is done, and the cache does not have ${lost}`);
  });

const check = async (store: HostedStore, signal: AbortSignal): Promise<CacheHealth> => {
  findIt(store);
  await withWebSession(store, signal, (session) => checkPlace(store, session, signal));
  return { kind: 'well', about: `it answers, and ${store.kind.program} is installed` };
};

export const createHostedCache = (settings: CacheSettings, deps: CacheDeps, kind: HostedKind): Cache => {
  const store = { ...deps, kind, place: kind, destination: kind.base };
  return createCacheFrame(settings, deps.credentials, {
    present: (paths, signal) =>
      withWebSession(store, signal, (session) => askNarinfos(session, paths, signal)),
    push: (request, signal) => push(store, request, signal),
    check: (signal) => check(store, signal),
  });
};
