import { expect, it } from 'vitest';
import { plainBuildError } from './build-error-text.ts';

const drv = '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.drv';
const outputs =
  'Output paths:\n  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-x\n  /nix/store/cccccccccccccccccccccccccccccccc-x-dev';

it.each([
  [
    `Cannot build '${drv}'.\nReason: builder failed with exit code 1.\n${outputs}`,
    `builder for '${drv}' failed with exit code 1`,
  ],
  [
    `error: Cannot build '${drv}'.\n       Reason: builder failed due to signal 9 (Killed).\n       ${outputs.replaceAll('\n', '\n       ')}\n       Last 1 log lines:\n       > x`,
    `error: builder for '${drv}' failed due to signal 9 (Killed)\n       Last 1 log lines:\n       > x`,
  ],
  [
    `Cannot build '${drv}'.\nReason: 1 dependency failed.\n${outputs}`,
    `1 dependency of derivation '${drv}' failed to build`,
  ],
  [
    `Cannot build '${drv}'.\nReason: builder failed with exit code 1.\nNote: build failure may have been caused by lack of free disk space`,
    `builder for '${drv}' failed with exit code 1\nNote: build failure may have been caused by lack of free disk space`,
  ],
])('says as Nix 2.8 does: %s', (recent, plain) => expect(plainBuildError(recent)).toBe(plain));

it.each([
  `builder for '${drv}' failed with exit code 1`,
  `Cannot build '${drv}'.\nReason: missing system features\nRequired features: {big}`,
  'path is not valid',
  '',
])('gives back what is something else: %s', (text) => expect(plainBuildError(text)).toBe(text));
