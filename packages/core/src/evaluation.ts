// What evaluating one job at one tree gives: one record an attribute, whatever evaluator made it.
import type { DrvPath } from './ids.ts';

/** What a package says of itself, cleaned: wrong types in the evaluated `meta` become absent values. */
export interface PackageMeta {
  readonly pname: string | null;
  readonly version: string | null;
  /** Labels in the order given: spdxId, else shortName, else fullName, else the string itself. */
  readonly licenses: readonly string[];
  /** Handles in the order given: github, else name, else email, else the string itself. */
  readonly maintainers: readonly string[];
  /** User ids at GitHub (`githubId`) of those that state one, in the order given. */
  readonly maintainerIds: readonly number[];
  /** `file:line` with the file relative to the repository where it lies inside it. */
  readonly position: string | null;
  readonly broken: boolean;
  readonly insecure: boolean;
  readonly unfree: boolean;
  readonly unsupported: boolean;
}

export interface SourcePosition {
  /** Relative to the repository's root where it lies inside it, else absolute. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1. */
  readonly column: number;
}

export type EvaluationFailureKind =
  | 'throw'
  | 'abort'
  | 'assertion'
  | 'missing-attribute'
  | 'type'
  | 'infinite-recursion'
  | 'stack-overflow'
  | 'syntax'
  | 'import-from-derivation'
  | 'network'
  | 'out-of-memory'
  | 'timeout'
  | 'killed'
  | 'other';

export interface EvaluationFailure {
  readonly kind: EvaluationFailureKind;
  /** Nix's own message without ANSI colours, `error: ` prefix or trace; never empty. */
  readonly message: string;
  readonly position: SourcePosition | null;
}

const passing: ReadonlySet<EvaluationFailureKind> = new Set<EvaluationFailureKind>([
  'network',
  'out-of-memory',
  'timeout',
  'killed',
]);

/** True where the surroundings are to blame: it says nothing of the code, and asked again it may evaluate. */
export const isPassing = ({ kind }: EvaluationFailure): boolean => passing.has(kind);

interface AttrIdentity {
  /** Dotted attribute path, names quoted where Nix would: `python3.pkgs."a.b"`. */
  readonly attr: string;
  readonly attrPath: readonly string[];
}

/** The attribute is a derivation, and its `.drv` file is in the store. */
export interface EvaluatedAttr extends AttrIdentity {
  readonly kind: 'derivation';
  /** The derivation's name, version included. */
  readonly name: string;
  /** Nix system, for example `x86_64-linux`. */
  readonly system: string;
  readonly drvPath: DrvPath;
  /** Output name to output path; null where the path is not known before the build (floating content-addressed). */
  readonly outputs: Readonly<Record<string, string | null>>;
  /** Null where reading it failed; `metaError` then says how. */
  readonly meta: PackageMeta | null;
  readonly metaError: string | null;
}

export type UnavailableReason = 'broken' | 'insecure' | 'unfree' | 'unsupported';

/** The attribute refuses to evaluate because of its own meta. */
export interface UnavailableAttr extends AttrIdentity {
  readonly kind: 'unavailable';
  /** At least one. */
  readonly reasons: readonly UnavailableReason[];
  readonly meta: PackageMeta;
}

/** The attribute fails to evaluate. */
export interface FailedAttr extends AttrIdentity {
  readonly kind: 'failed';
  readonly failure: EvaluationFailure;
}

export type EvaluationRecord = EvaluatedAttr | UnavailableAttr | FailedAttr;

/** One job at one tree, complete: partial results are never kept as a jobset. */
export interface Jobset {
  readonly job: string;
  /** Sorted by `attr` in code-unit order; no attribute twice. */
  readonly records: readonly EvaluationRecord[];
}
