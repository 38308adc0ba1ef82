// The change summary on the wire: the same document that the core builds, checked where it comes in.
import { z } from 'zod';
import { FailedBuildCause } from './build-cause.ts';
import { CheckOutcome } from './check.ts';

const count = z.int().nonnegative();
const nullableText = z.string().nullable();
const texts = z.array(z.string());

export const Conclusion = z.enum([
  'success',
  'failure',
  'cancelled',
  'timed-out',
  'action-required',
  'neutral',
  'pending',
]);
const unavailableReason = z.enum(['broken', 'insecure', 'unfree', 'unsupported']);
export const VerdictKind = z.enum([
  'newly-failing',
  'newly-unevaluable',
  'failing-base-unknown',
  'timed-out',
  'cancelled',
  'in-progress',
  'not-built',
  'flaky',
  'still-failing',
  'still-unevaluable',
  'unavailable',
  'newly-succeeding',
  'still-succeeding',
]);

/** `file` is relative to the repository's root where it lies inside it, else absolute; lines count from 1. */
const position = z.object({ file: z.string(), line: z.number(), column: z.number() });

const evaluationFailure = z.object({
  kind: z.enum([
    'throw',
    'abort',
    'assertion',
    'missing-attribute',
    'type',
    'infinite-recursion',
    'stack-overflow',
    'syntax',
    'import-from-derivation',
    'network',
    'out-of-memory',
    'timeout',
    'killed',
    'other',
  ]),
  message: z.string(),
  position: position.nullable(),
});

const packageName = z.object({ pname: z.string(), version: nullableText });

const primaryChange = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('Added'),
    version: nullableText,
    previously: z.enum(['absent', 'unevaluable', 'unavailable']),
  }),
  z.object({ kind: z.literal('Removed'), version: nullableText }),
  z.object({
    kind: z.literal('VersionBump'),
    old: nullableText,
    new: nullableText,
    downgrade: z.boolean(),
  }),
  z.object({ kind: z.literal('Renamed'), old: packageName, new: packageName }),
  z.object({ kind: z.literal('RebuildOnly'), version: nullableText }),
  z.object({ kind: z.literal('Unevaluable'), failure: evaluationFailure }),
  z.object({ kind: z.literal('Unavailable'), reasons: z.array(unavailableReason) }),
]);

const secondaryChange = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('LicenseChange'), old: texts, new: texts }),
  z.object({ kind: z.literal('MaintainerChange'), added: texts, removed: texts }),
]);

export const PackageChange = z.object({
  attr: z.string(),
  aliases: texts,
  pname: nullableText,
  system: nullableText,
  drvPath: nullableText,
  primary: primaryChange.nullable(),
  secondary: z.array(secondaryChange),
  /** True where the edit itself is, as opposed to its fallout. */
  edited: z.boolean(),
  /** Names from the package down to the edit, both included. */
  why: texts.nullable(),
});

const drvReference = z.object({ drvPath: z.string(), name: z.string(), attr: nullableText });

const Outcome = z.object({
  kind: VerdictKind,
  attr: z.string(),
  aliases: texts,
  system: nullableText,
  drvPath: nullableText,
  base: z.enum(['absent', 'unevaluable', 'unavailable', 'succeeded', 'failed', 'unknown', 'unknowable']),
  note: nullableText,
  cause: FailedBuildCause.nullable(),
  reason: nullableText,
  evaluation: evaluationFailure.nullable(),
  unavailable: z.array(unavailableReason),
  culprit: drvReference.nullable(),
  logTail: texts,
  logUrl: nullableText,
  durationMs: z.number().nullable(),
  substituted: z.boolean(),
  reproduce: nullableText,
  /** Of a failure: where it is in the code, or else where the package says that it is. */
  position: position.exactOptional(),
});

export const RebuildImpact = z.object({
  systems: z.array(z.object({ system: z.string(), rebuilds: count })),
  kernels: z.array(
    z.object({
      kernel: z.enum(['linux', 'darwin']),
      rebuilds: count,
      bucket: z.enum(['0', '1', '1-10', '11-100', '101-500', '501-1000', '1001-2500', '2501-5000', '5001+']),
    }),
  ),
  totalRebuilds: count,
  causeCount: count,
  causes: z.array(drvReference),
  editedAttrs: texts,
  topBlastRadius: z.array(drvReference.extend({ dependents: count })),
});

const byteChange = z.object({
  baseBytes: z.number().nullable(),
  bytes: z.number(),
  differenceBytes: z.number().nullable(),
  differencePercent: z.number().nullable(),
});

const sizes = z.object({
  comparisons: z.array(
    z.object({
      attr: z.string(),
      output: z.string(),
      nar: byteChange,
      closure: byteChange,
      gainedReferences: texts,
      lostReferences: texts,
      breached: z.boolean(),
    }),
  ),
  maxIncreasePercent: z.number().nullable(),
  breaches: count,
});

export const Notice = z.object({
  level: z.enum(['error', 'warning', 'info']),
  about: z.enum(['configuration', 'evaluation', 'build', 'change']),
  message: z.string(),
});

/** Attributes by what the plan says of them. */
export const AttributeCounts = z.object({
  added: count,
  removed: count,
  changed: count,
  unchanged: count,
  unavailable: count,
  unevaluable: count,
});

const JobSummary = z.object({
  job: z.string(),
  conclusion: Conclusion,
  headline: z.string(),
  notJudged: nullableText,
  /** What it evaluates. */
  file: z.string().exactOptional(),
  /** Where its evaluation failed as a whole. */
  position: position.exactOptional(),
  attributes: AttributeCounts,
  outcomeCounts: z.record(VerdictKind, count),
  systems: z.array(z.object({ system: z.string(), conclusion: Conclusion })),
  packageChanges: z.array(PackageChange),
  outcomes: z.array(Outcome),
  rebuildImpact: RebuildImpact.nullable(),
  sizes: sizes.nullable(),
  notices: z.array(Notice),
});
export type JobSummary = z.infer<typeof JobSummary>;

/** What a check came to; `reason` says why it did not pass. */
const JudgedCheck = z.object({
  name: z.string(),
  /** As of `/v1/checks/{id}`; null where no run of it is kept. */
  id: nullableText,
  outcome: CheckOutcome,
  status: z.int().nullable(),
  reason: nullableText,
  durationMs: z.number().nullable(),
  outputTail: texts,
  logUrl: nullableText,
  /** True: the same was run before, and this is what came of it. */
  kept: z.boolean(),
});

export const ChangeSummary = z
  .object({
    schemaVersion: z.literal(1),
    change: z.object({
      repository: nullableText,
      number: z.int().nullable(),
      /** Null where there was nothing before, as for a first push. */
      baseSha: nullableText,
      headSha: z.string(),
      judgedTree: z.string(),
      merged: z.boolean(),
    }),
    conclusion: Conclusion,
    headline: z.string(),
    /** It takes more builds than a change may start by itself, and waits for approval; null where it does not. */
    wide: z.object({ builds: count, limit: count }).nullable().default(null),
    jobs: z.array(JobSummary),
    checks: z.array(JudgedCheck).default([]),
    notices: z.array(Notice),
  })
  .meta({ id: 'ChangeSummary' });
export type ChangeSummary = z.infer<typeof ChangeSummary>;
