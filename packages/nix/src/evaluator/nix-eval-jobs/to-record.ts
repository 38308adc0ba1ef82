// From a line of nix-eval-jobs to the record that others read.
import type { EvaluationRecord, PackageMeta, UnavailableReason } from '@eka-ci/core/evaluation';
import { printAttrPath } from '../attr-path.ts';
import { readEvaluatedDerivation } from '../evaluated-derivation.ts';
import { describeNixError, explainNetwork, parsePrintedError, type SourceRoots } from '../failure.ts';
import { cleanMeta, completeMeta } from '../package-meta.ts';
import type { JobLine } from './schema.ts';

export interface LineContext {
  readonly storeDir: string;
  readonly roots: SourceRoots;
  readonly allowNetwork: boolean;
  /** For a root that is itself a derivation. */
  readonly rootName: string;
}

// nixpkgs says why it refuses only in its message: "Package ‘x’ in file:1 is marked as broken, refusing to evaluate."
const refusals: readonly (readonly [UnavailableReason, RegExp])[] = [
  ['broken', /is marked as broken/],
  ['insecure', /is marked as insecure/],
  ['unfree', /has an unfree license/],
  ['unsupported', /is not (?:supported|available) on/],
];

const refusalIn = (message: string): UnavailableReason[] =>
  /^Package .*refusing to evaluate/s.test(message)
    ? refusals.filter(([, pattern]) => pattern.test(message)).map(([reason]) => reason)
    : [];

const metaOfRefusal = (reasons: readonly UnavailableReason[], context: LineContext): PackageMeta => {
  const meta = Object.fromEntries(reasons.map((reason) => [reason, true]));
  return completeMeta(cleanMeta(meta), null, context.roots);
};

export const toRecord = (line: JobLine, context: LineContext): EvaluationRecord => {
  const attrPath = line.attrPath.length > 0 ? line.attrPath : [context.rootName];
  const identity = { attr: printAttrPath(attrPath), attrPath };
  if ('error' in line) {
    const failure = describeNixError(parsePrintedError(line.error), context.roots);
    const reasons = refusalIn(failure.message);
    return reasons.length > 0
      ? { kind: 'unavailable', ...identity, reasons, meta: metaOfRefusal(reasons, context) }
      : { kind: 'failed', ...identity, failure: explainNetwork(failure, context.allowNetwork) };
  }
  const read = readEvaluatedDerivation(line.drvPath, context.storeDir);
  if (read.kind === 'refused') {
    const message = `its drvPath is no derivation: ${read.reason}`;
    return { kind: 'failed', ...identity, failure: { kind: 'other', message, position: null } };
  }
  const meta = completeMeta(cleanMeta(line.meta), read.facts.name, context.roots);
  return { kind: 'derivation', ...identity, ...read.facts, meta, metaError: null };
};
