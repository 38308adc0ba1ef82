// What a driver is made from, for tests: secrets in a map, that can be changed, and a guard that lets the loopback through.
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { Secret } from '../../config/secret.ts';
import type { CacheDeps } from '../cache-deps.ts';

export interface TestCredentials {
  readonly deps: CacheDeps;
  /** How often they were forgotten. */
  forgotten(): number;
  /** What the source gives; what was loaded before stays until it is forgotten. */
  set(values: Readonly<Record<string, string>>): void;
}

export const cacheSurroundings = (
  nix: NixInstallation,
  initial: Readonly<Record<string, string>> = {},
  more: Partial<CacheDeps> = {},
): TestCredentials => {
  const secrets = (values: Readonly<Record<string, string>>) =>
    new Map(Object.entries(values).map(([name, value]) => [name, new Secret(value)]));
  let source = secrets(initial);
  let held = source;
  let forgotten = 0;
  return {
    deps: {
      nix,
      queries: (asking) => createStoreQueries(nix, asking),
      guard: createDestinationGuard({ allowPrivate: true }),
      credentials: {
        load: async () => ({ values: held, warnings: [], leaseMs: null }),
        forget: () => {
          forgotten += 1;
          held = source;
        },
      },
      ...more,
    },
    forgotten: () => forgotten,
    set: (values) => {
      source = secrets(values);
    },
  };
};
