// A cache that Nix itself can write: a folder, a server that takes uploads, a bucket of S3, the store of another machine.
import type { Cache } from '../cache.ts';
import type { CacheDeps, CacheSettings } from '../cache-deps.ts';
import { createCacheFrame } from '../cache-frame.ts';
import { findNixCommand, noNixCommand } from '../run-nix.ts';
import { readSigningKey } from '../signing-key.ts';
import { createFileDriver } from './file-cache.ts';
import { createSshDriver } from './ssh-cache.ts';
import type { StoreDriver, StoreDriverDeps } from './store-driver.ts';
import { parseStoreUrl, type StoreUrl, settingOf, withSettings } from './store-url.ts';
import { createWebDriver } from './web-cache.ts';

/** Nix itself would take xz, a second of a core for two megabytes: the builds of this machine would wait for it. */
const withQuickCompression = (url: StoreUrl): StoreUrl =>
  settingOf(url, 'compression') === null ? withSettings(url, { compression: 'zstd' }) : url;

const driverFor = (url: StoreUrl, deps: StoreDriverDeps): StoreDriver => {
  switch (url.scheme) {
    case 'file':
      return createFileDriver(withQuickCompression(url), deps);
    case 'http':
    case 'https':
    case 's3':
      return createWebDriver(withQuickCompression(url), deps);
    case 'ssh':
    case 'ssh-ng':
      return createSshDriver(url, deps);
  }
};

/** @param settings their destination is a URL that the configuration has accepted */
export const createNixCopyCache = (settings: CacheSettings, deps: CacheDeps): Cache => {
  const { destination } = settings;
  const url = parseStoreUrl(destination);
  if (url === null) throw new TypeError(`${destination} is no URL of a store`);
  const driver = driverFor(url, { ...deps, destination });
  return createCacheFrame(settings, deps.credentials, {
    ...driver,
    check: async (signal) => {
      if ((await findNixCommand(deps.nix)) === null) throw noNixCommand();
      readSigningKey((await deps.credentials.load(signal)).values);
      return driver.check(signal);
    },
  });
};
