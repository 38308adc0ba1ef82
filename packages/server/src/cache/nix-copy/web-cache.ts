// Binary caches over HTTP, and buckets of S3, which are that with signed requests: asked by this process, written by
// `nix copy` through a relay.
import type { StorePath } from '@eka-ci/core/ids';
import { Secret } from '../../config/secret.ts';
import { basicAuthorization, noAuthorization, revealed, revealedWord } from '../authorization.ts';
import type { PushOutcome, PushRequest } from '../cache.ts';
import { CacheError } from '../cache.ts';
import { askCacheInfo, type CacheInfo } from '../cache-info.ts';
import { childEnvironment } from '../child-environment.ts';
import { closureOf } from '../local-closure.ts';
import { askNarinfos, narinfoName } from '../narinfo.ts';
import { withPrivateFolder } from '../private-folder.ts';
import { complaintFault, passing, refused } from '../push-fault.ts';
import { writeSigningKey } from '../signing-key.ts';
import { type WebPlace, type WebSession, type WebSessionDeps, withWebSession } from '../web-session.ts';
import { copyPaths } from './copy.ts';
import { openRelay } from './relay.ts';
import { s3AddressOf, s3Settings } from './s3-address.ts';
import { createS3Authorize } from './s3-signing.ts';
import type { StoreDriver, StoreDriverDeps } from './store-driver.ts';
import { type StoreUrl, settingOf, storeUrlText, withSettings } from './store-url.ts';

const webPlace = (url: StoreUrl): WebPlace => ({
  base: `${url.scheme}://${url.place.replace(/\/+$/, '')}/`,
  authorizeBy: (values) => {
    const user = revealed(values, 'HTTP_USERNAME');
    const password = revealed(values, 'HTTP_PASSWORD');
    return user === undefined && password === undefined
      ? noAuthorization
      : basicAuthorization(user ?? '', password ?? '');
  },
});

const s3Place = (url: StoreUrl): WebPlace => {
  const { base, region } = s3AddressOf(url);
  return {
    base,
    authorizeBy: (values) => {
      const accessKeyId = revealedWord(values, 'AWS_ACCESS_KEY_ID');
      const secretAccessKey = revealedWord(values, 'AWS_SECRET_ACCESS_KEY');
      if (accessKeyId === undefined && secretAccessKey === undefined) return noAuthorization;
      if (accessKeyId === undefined || secretAccessKey === undefined) {
        const missing = accessKeyId === undefined ? 'AWS_ACCESS_KEY_ID' : 'AWS_SECRET_ACCESS_KEY';
        throw new CacheError(refused('credentials', `its credentials lack ${missing}`));
      }
      const sessionToken = revealedWord(values, 'AWS_SESSION_TOKEN');
      const ownRegion =
        settingOf(url, 'region') ??
        revealed(values, 'AWS_REGION') ??
        revealed(values, 'AWS_DEFAULT_REGION') ??
        region;
      return createS3Authorize({
        keys: {
          accessKeyId,
          secretAccessKey: new Secret(secretAccessKey),
          sessionToken: sessionToken === undefined ? null : new Secret(sessionToken),
        },
        region: ownRegion,
        clock: Date.now,
      });
    },
  };
};

/** What Nix is told: how to write, not where. */
const relayUrl = (url: StoreUrl, host: string): StoreUrl => ({
  ...withSettings(url, Object.fromEntries(s3Settings.map((name) => [name, null]))),
  scheme: 'http',
  place: host,
});

const abouts: Readonly<Record<CacheInfo, string>> = {
  there: 'it answers',
  absent: 'it answers, and is empty so far',
  hidden: 'it answers, and shows nothing: whether it can be written, the first push tells',
};

interface WebStore extends WebSessionDeps {
  readonly url: StoreUrl;
}

interface Sending {
  readonly outcome: PushOutcome;
  /** Names of narinfos. */
  readonly written: ReadonlySet<string>;
}

const send = async (
  { nix, url }: WebStore,
  {
    session: { client, values, base },
    request,
  }: { readonly session: WebSession; readonly request: PushRequest },
  signal: AbortSignal,
): Promise<Sending> => {
  const { paths, lacking = [], onProgress = () => {} } = request;
  const absent = new Set(Array.from(lacking, (path) => narinfoName(path, nix.storeDir)));
  const relay = await openRelay({ client, base, absent, onProgress, signal });
  try {
    const complaints = await withPrivateFolder(async (folder) => {
      const netrc = await folder.write('netrc', relay.netrc);
      const keyFile = await writeSigningKey(folder, values);
      const to = withSettings(relayUrl(url, relay.host), keyFile === null ? {} : { 'secret-key': keyFile });
      const options = ['--option', 'netrc-file', netrc];
      const env = childEnvironment(nix, folder.path);
      const copy = { nix, to: storeUrlText(to), options, env, onEvent: null };
      return copyPaths(copy, { paths, signal });
    });
    const written = relay.written();
    if (complaints === null) return { outcome: { kind: 'pushed', ...relay.sent() }, written };
    return { outcome: relay.fault() ?? complaintFault(complaints, 'nix copy'), written };
  } finally {
    await relay.close();
  }
};

const push = (store: WebStore, request: PushRequest, signal: AbortSignal): Promise<PushOutcome> =>
  withWebSession(store, signal, async (session) => {
    const closure = await closureOf(store, request.paths, signal);
    await askCacheInfo(session, signal);
    const { outcome, written } = await send(store, { session, request }, signal);
    if (outcome.kind !== 'pushed') return outcome;
    const asked = new Set(request.paths);
    const isDue = (path: StorePath): boolean =>
      asked.has(path) || written.has(narinfoName(path, session.storeDir));
    const due = [...closure.keys()].filter(isDue);
    const arrived = await askNarinfos(session, due, signal);
    const lost = due.find((path) => !arrived.has(path));
    return lost === undefined
      ? outcome
      : passing(`it took everything and does not have ${lost}: does it store what is put there?`);
  });

export const createWebDriver = (url: StoreUrl, deps: StoreDriverDeps): StoreDriver => {
  const store = { ...deps, url, place: url.scheme === 's3' ? s3Place(url) : webPlace(url) };
  return {
    present: (paths, signal) =>
      withWebSession(store, signal, (session) => askNarinfos(session, paths, signal)),
    push: (request, signal) => push(store, request, signal),
    check: (signal) =>
      withWebSession(store, signal, async (session) => ({
        kind: 'well',
        about: abouts[await askCacheInfo(session, signal)],
      })),
  };
};
