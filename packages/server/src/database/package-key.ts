// The package that a derivation is a version of.
import type { PackageKey } from '@eka-ci/core/build-durations';
import type { DrvPath } from '@eka-ci/core/ids';
import { splitDrvName } from '@eka-ci/nix/drv-name';
import { derivationNameOf } from '@eka-ci/nix/store-path';

/** By its own name, which every derivation has; only attributes have a `pname` of their evaluation's. */
export const packageKeyOf = (drv: DrvPath, of: Omit<PackageKey, 'pname'>): PackageKey => ({
  pname: splitDrvName(derivationNameOf(drv)).pname,
  ...of,
});
