// What the server and a sandbox's runner say to each other about an evaluation: the request, an event as each comes, and
// the end. What the runner says is looked at as closely as what any stranger says: it ran a stranger's code.
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { EvaluationEnd, EvaluationEvent } from '@eka-ci/nix/evaluator/evaluator';
import { z } from 'zod';
import { Bounds, protocolVersion } from './runner-protocol.ts';

const count = z.int().positive();
const amount = z.int().nonnegative();

const Target = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('file'),
    file: z.string().min(1),
    attrPath: z.array(z.string()),
    isShell: z.literal(true).exactOptional(),
  }),
  z.object({
    kind: z.literal('flake'),
    output: z.enum(['packages', 'checks', 'devShells']),
    shell: z.string().exactOptional(),
    systems: z.array(z.string()),
    rev: z.string().nullable(),
    lastModified: z.number().nullable(),
  }),
]);

/** An EvaluationRequest without its folders. The tree follows, entry by entry. */
export const EvaluationAsked = z.strictObject({
  version: z.literal(protocolVersion),
  kind: z.literal('evaluate'),
  target: Target,
  limits: z.object({
    workers: count,
    maxMemoryMib: count,
    timeoutMs: count,
    attributeTimeoutMs: count.exactOptional(),
  }),
  allowImportFromDerivation: z.boolean(),
  allowNetwork: z.boolean(),
  sandbox: z.enum(['required', 'preferred']),
  /** As the server has it. Another one in the runner would give other answers under the same name. */
  nix: z.strictObject({
    version: z.string(),
    storeDir: z.string(),
    evaluator: z.enum(['stock', 'nix-eval-jobs']),
  }),
});
export type EvaluationAsked = z.infer<typeof EvaluationAsked>;

const Failure = z.strictObject({
  kind: z.enum([
    ...(['throw', 'abort', 'assertion', 'missing-attribute', 'type', 'infinite-recursion'] as const),
    ...(['stack-overflow', 'syntax', 'import-from-derivation', 'network', 'out-of-memory'] as const),
    ...(['timeout', 'killed', 'other'] as const),
  ]),
  message: z.string().min(1),
  position: z.strictObject({ file: z.string(), line: amount, column: amount }).nullable(),
});

const text = z.string().max(4096);
const texts = z.array(text).max(200);

const Meta = z.strictObject({
  pname: text.nullable(),
  version: text.nullable(),
  licenses: texts,
  maintainers: texts,
  maintainerIds: z.array(count).max(200),
  position: text.nullable(),
  broken: z.boolean(),
  insecure: z.boolean(),
  unfree: z.boolean(),
  unsupported: z.boolean(),
});

const identity = { attr: z.string().min(1), attrPath: z.array(z.string()).min(1).max(100) };

const Derivation = z.strictObject({
  kind: z.literal('derivation'),
  ...identity,
  drvPath: z.string(),
  meta: Meta.nullable(),
  metaError: z.string().nullable(),
});

const Unavailable = z.strictObject({
  kind: z.literal('unavailable'),
  ...identity,
  reasons: z
    .array(z.enum(['broken', 'insecure', 'unfree', 'unsupported']))
    .min(1)
    .max(4),
  meta: Meta,
});

const Failed = z.strictObject({ kind: z.literal('failed'), ...identity, failure: Failure });

/** Of a derivation its path alone: the rest is read from its file. */
export const ToldRecord = z.discriminatedUnion('kind', [Derivation, Unavailable, Failed]);
export type ToldRecord = z.infer<typeof ToldRecord>;

export const ToldEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('record'), record: ToldRecord }),
  z.strictObject({ type: z.literal('progress'), evaluated: amount, failed: amount, known: amount }),
  z.strictObject({ type: z.literal('log'), line: z.string().max(2000) }),
  z.strictObject({ type: z.literal('warning'), message: z.string().max(10_000) }),
  z.strictObject({
    type: z.literal('worker-restarted'),
    reason: z.enum(['failed-attribute', 'memory', 'timeout', 'killed']),
    peakMib: z.number().nonnegative(),
  }),
]);
export type ToldEvent = z.infer<typeof ToldEvent>;

const End = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('complete'), records: amount, processes: amount, peakMib: amount }),
  z.strictObject({ kind: z.literal('failed'), failure: Failure }),
  /** Nothing was evaluated, or the runner itself broke. The text says what to do. */
  z.strictObject({ kind: z.literal('refused'), why: z.string() }),
]);

export const EvaluationAnswer = z.strictObject({
  version: z.literal(protocolVersion),
  end: End,
  bounds: Bounds,
});
export type EvaluationAnswer = z.infer<typeof EvaluationAnswer>;

export type RunnerEnd = EvaluationEnd | Extract<EvaluationAnswer['end'], { readonly kind: 'refused' }>;

const toldRecord = (record: EvaluationRecord): unknown => {
  if (record.kind !== 'derivation') return record;
  const { kind, attr, attrPath, drvPath, meta, metaError } = record;
  return { kind, attr, attrPath, drvPath, meta, metaError };
};

/** For the runner: an event as it is told. */
export const tellEvent = (event: EvaluationEvent): string =>
  JSON.stringify(event.type === 'record' ? { type: 'record', record: toldRecord(event.record) } : event);
