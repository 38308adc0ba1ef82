// The `{drv}` of an address: a name in the store, parsed before anything is looked up by it.
import type { DrvPath } from '@eka-ci/core/ids';
import { parseDrvPath, StorePathError } from '@eka-ci/nix/store-path';
import { HttpError } from './errors.ts';

/**
 * @param text `hash-name.drv`; nothing of it is decoded, the router did that once
 * @throws HttpError DRV_INVALID
 */
export const parseDrvParam = (text: string, storeDir: string): DrvPath => {
  try {
    return parseDrvPath(`${storeDir}/${text}`, storeDir);
  } catch (error) {
    if (!(error instanceof StorePathError)) throw error;
    throw new HttpError(
      'DRV_INVALID',
      'this is no derivation: name it by the last part of its store path, <32 characters>-<name>.drv',
      { cause: error },
    );
  }
};
