// What a daemon can be asked to make valid, in the form that the protocol has for it.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { NixDaemonError } from './daemon-error.ts';

export type BuildTarget =
  | {
      readonly drvPath: DrvPath;
      /** Names of its outputs; all of them where it is empty. */
      readonly outputs: readonly string[];
    }
  /** Can only be fetched. */
  | { readonly path: StorePath };

/** Nix's rule for the names of outputs, which become part of store paths. */
const outputName = /^[0-9A-Za-z+\-._?=]+$/;

/** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST for an output whose name would mean something else there */
export const formatTarget = (target: BuildTarget): string => {
  if ('path' in target) return target.path;
  const bad = target.outputs.find((name) => !outputName.test(name));
  if (bad !== undefined) {
    throw new NixDaemonError('NIX_DAEMON_BAD_REQUEST', `${JSON.stringify(bad)} is not the name of an output`);
  }
  return `${target.drvPath}!${target.outputs.length === 0 ? '*' : target.outputs.join(',')}`;
};
