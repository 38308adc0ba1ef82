// Where the log of a hook's run is. It is named as logs of builds are, so that it is compressed and removed like them.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { baseNameOf, derivationNameOf, hashPartOf } from '@eka-ci/nix/store-path';

/** Names of files may have 255 bytes; the hash part alone tells derivations apart. */
const maxName = 150;
const maxHook = 40;

const hookPart = (hook: string): string =>
  hook.length <= maxHook ? hook : createHash('sha256').update(hook).digest('hex').slice(0, maxHook);

/** `ab/cdef…-hello-1.0.hook-notify.1.log` for the hook `notify` after the first attempt at `abcdef…-hello-1.0.drv`. */
export const hookLogFileOf = (drv: DrvPath, attempt: number, hook: string): string =>
  join(
    hashPartOf(drv).slice(0, 2),
    `${baseNameOf(drv).slice(2, 32)}-${derivationNameOf(drv).slice(0, maxName)}.hook-${hookPart(hook)}.${attempt}.log`,
  );
