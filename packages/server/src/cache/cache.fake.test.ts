// The cache in memory keeps the contract of real ones: what is tested on it would go so with them.
import type { StorePath } from '@eka-ci/core/ids';
import { describeCache } from './cache.contract.ts';
import { createFakeCache } from './cache.fake.ts';

let made = 0;

describeCache('in memory', async () => {
  const references = new Map<StorePath, readonly StorePath[]>();
  const cache = createFakeCache({ referencesOf: (path) => references.get(path) ?? [] });
  return {
    cache,
    async makeChain() {
      const paths = ['a', 'b', 'c'].map(
        (name) => `/nix/store/${String(made++).padStart(32, '0')}-${name}` as StorePath,
      );
      for (const [at, path] of paths.entries()) references.set(path, paths.slice(Math.max(0, at - 1), at));
      return { paths };
    },
    lost: null,
    remove: async () => {},
  };
});
