// What a record says of its derivation is read from the `.drv` file itself: evaluated code can put any `outPath`,
// `system` or `name` beside a `drvPath`, and a plan that believed it could be told that nothing changed.
import { readFileSync } from 'node:fs';
import type { DrvPath } from '@eka-ci/core/ids';
import { DerivationError, parseDerivation, textOf } from '../derivation.ts';
import { detach } from '../derivation-facts.ts';
import { derivationNameOf, parseDrvPath, StorePathError } from '../store-path.ts';

export interface EvaluatedDerivation {
  readonly drvPath: DrvPath;
  readonly name: string;
  readonly system: string;
  /** Output name to path; null where it is not known before the build. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

export type ReadFacts =
  | { readonly kind: 'read'; readonly facts: EvaluatedDerivation }
  | { readonly kind: 'refused'; readonly reason: string };

const factsOf = (drvPath: DrvPath, text: string): EvaluatedDerivation => {
  const { outputs, system } = parseDerivation(text, drvPath);
  return {
    drvPath,
    name: derivationNameOf(drvPath),
    system: detach(textOf(system)),
    outputs: Object.fromEntries(
      outputs.map(({ name, path }) => [detach(textOf(name)), path === '' ? null : detach(path)]),
    ),
  };
};

/**
 * Reads the file of a path that evaluated code gave. Synchronously: it was written a moment ago and takes 20 µs, where
 * a round through the thread pool takes a millisecond on a busy machine, as often as there are attributes.
 */
export const readEvaluatedDerivation = (path: string, storeDir: string): ReadFacts => {
  try {
    const drvPath = parseDrvPath(path, storeDir);
    return { kind: 'read', facts: factsOf(drvPath, readFileSync(drvPath, 'latin1')) };
  } catch (error) {
    const expected = error instanceof StorePathError || error instanceof DerivationError;
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!expected && !missing) throw error;
    return { kind: 'refused', reason: missing ? `there is no derivation ${path}` : error.message };
  }
};
