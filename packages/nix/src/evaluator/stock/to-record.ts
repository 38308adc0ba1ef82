// From what a worker said of an attribute to the record that others read.
import type { EvaluationFailure, EvaluationRecord } from '@eka-ci/core/evaluation';
import { printAttrPath } from '../attr-path.ts';
import { readEvaluatedDerivation } from '../evaluated-derivation.ts';
import type { EvaluationTarget } from '../evaluator.ts';
import type { SourceRoots } from '../failure.ts';
import { completeMeta, refusalReasons } from '../package-meta.ts';
import type { MetaFacts } from './schema.ts';

export interface RecordContext {
  readonly storeDir: string;
  readonly target: EvaluationTarget;
  readonly roots: SourceRoots;
}

/** A root that is itself a derivation has no name of its own: it gets the job's. */
const identityOf = (
  path: readonly string[],
  target: EvaluationTarget,
): { attr: string; attrPath: readonly string[] } => {
  const own = target.kind === 'file' ? target.attrPath.at(-1) : undefined;
  const attrPath = path.length > 0 ? path : [own ?? 'default'];
  return { attr: printAttrPath(attrPath), attrPath };
};

export const failedRecord = (
  path: readonly string[],
  failure: EvaluationFailure,
  context: RecordContext,
): EvaluationRecord => ({ kind: 'failed', ...identityOf(path, context.target), failure });

/** Null when its meta gives no reason to refuse: then it just threw. */
export const unavailableRecord = (
  path: readonly string[],
  meta: MetaFacts,
  context: RecordContext,
): EvaluationRecord | null => {
  const reasons = refusalReasons(meta);
  if (reasons.length === 0) return null;
  const complete = completeMeta(meta, null, context.roots);
  return { kind: 'unavailable', ...identityOf(path, context.target), reasons, meta: complete };
};

export interface FoundDerivation {
  readonly path: readonly string[];
  readonly drvPath: string;
  /** It is in its own string context: see `expression.ts`. */
  readonly known: boolean;
  readonly meta: MetaFacts | null;
  readonly metaError: string | null;
}

export const derivationRecord = (found: FoundDerivation, context: RecordContext): EvaluationRecord => {
  const refuse = (message: string): EvaluationRecord =>
    failedRecord(found.path, { kind: 'other', message, position: null }, context);
  const read = readEvaluatedDerivation(found.drvPath, context.storeDir);
  if (read.kind === 'refused') return refuse(`its drvPath is no derivation: ${read.reason}`);
  // Such a text may name what a garbage collection takes tomorrow, or what another evaluation wrote.
  if (!found.known) return refuse('its drvPath is a text without context: it was not made by derivation');
  const meta = found.meta === null ? null : completeMeta(found.meta, read.facts.name, context.roots);
  const identity = identityOf(found.path, context.target);
  return { kind: 'derivation', ...identity, ...read.facts, meta, metaError: found.metaError };
};
