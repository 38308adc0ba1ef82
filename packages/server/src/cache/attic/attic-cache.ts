// A cache of an Attic server, written by `attic push`. It takes its token from its own settings alone, the file
// attic/config.toml of XDG_CONFIG_HOME, where servers have names (docs.attic.rs, "attic CLI", and `attic login`).
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chunkArguments } from '@eka-ci/nix/store-queries';
import { bearerAuthorization, noAuthorization, revealedWord } from '../authorization.ts';
import type { Cache } from '../cache.ts';
import type { CacheDeps, CacheSettings } from '../cache-deps.ts';
import { checkDestination } from '../destination-check.ts';
import { createHostedCache } from '../hosted-cache.ts';
import { signInStore } from '../signing-key.ts';

/** What the server is called in settings that only this push sees. */
const server = 'eka-ci';

/** Of printable ASCII a basic string of TOML is one of JSON. */
const quote = (text: string): string => JSON.stringify(text);

const settingsText = (endpoint: string, token: string | undefined): string =>
  [
    `default-server = ${quote(server)}`,
    `[servers.${server}]`,
    `endpoint = ${quote(endpoint)}`,
    ...(token === undefined ? [] : [`token = ${quote(token)}`]),
    '',
  ].join('\n');

/** @param settings their destination is `https://host/cache` */
export const createAtticCache = (settings: CacheSettings, deps: CacheDeps): Cache => {
  const url = new URL(settings.destination);
  const cache = url.pathname.slice(1);
  return createHostedCache(settings, deps, {
    program: 'attic',
    base: `${url.origin}/${cache}/`,
    authorizeBy: (values) => {
      const token = revealedWord(values, 'ATTIC_TOKEN');
      return token === undefined ? noAuthorization : bearerAuthorization(token);
    },
    runsFor: async ({ paths, values, folder, signal }) => {
      await checkDestination(deps.guard, settings.destination, signal);
      await signInStore({ nix: deps.nix, paths, values, folder }, signal);
      await mkdir(join(folder.path, 'attic'), { mode: 0o700 });
      const token = revealedWord(values, 'ATTIC_TOKEN');
      await folder.write('attic/config.toml', settingsText(`${url.origin}/`, token));
      return chunkArguments(paths).map((chunk) => ({
        args: ['push', `${server}:${cache}`, ...chunk],
        env: { XDG_CONFIG_HOME: folder.path },
      }));
    },
  });
};
