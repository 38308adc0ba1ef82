// Derivations: what they are, how their builds stand, what they need and what needs them.
import { z } from 'zod';
import { BuildCause } from './build-cause.ts';
import { nextCursor } from './page.ts';

const count = z.int().nonnegative();
const nullableText = z.string().nullable();
const nullableTime = z.number().nullable();

export const BuildState = z.enum([
  'queued',
  'buildable',
  'building',
  'succeeded',
  'failed',
  'dependency-failed',
  'interrupted',
  'unsatisfiable',
]);

/** `{drv}` is `hash-name.drv`: a name in the store, never a path. */
export const DrvParams = z.object({
  // Told, not checked here: what is wrong with a path is for its own parser to say.
  drv: z.string().meta({ pattern: '^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+.?=_-]+[.]drv$' }),
});

const attempt = z.object({
  /** Counted from 1. */
  attempt: z.int().positive(),
  state: BuildState,
  cause: BuildCause.nullable(),
  /** Milliseconds since 1970. */
  startedAtMs: nullableTime,
  /** Milliseconds since 1970; null until it comes to rest. */
  finishedAtMs: nullableTime,
  /** The derivation whose failure this one shares. */
  culprit: nullableText,
  message: nullableText,
  /** Path on this server; null where nothing was logged. */
  logPath: nullableText,
});

export const Derivation = z
  .object({
    drvPath: z.string(),
    name: z.string(),
    system: z.string(),
    fixedOutput: z.boolean(),
    preferLocalBuild: z.boolean(),
    allowSubstitutes: z.boolean(),
    requiredFeatures: z.array(z.string()),
    /** The path is null where it is known only after the build. */
    outputs: z.array(z.object({ name: z.string(), path: nullableText })),
    dependencies: count,
    /** Null where nobody wanted it built so far. */
    state: BuildState.nullable(),
    why: nullableText,
    /** Oldest first. */
    attempts: z.array(attempt),
  })
  .meta({ id: 'Derivation' });
export type Derivation = z.infer<typeof Derivation>;

const linked = z.object({ drvPath: z.string(), name: z.string(), state: BuildState.nullable() });

export const DerivationPage = z
  .object({ total: count, derivations: z.array(linked), nextCursor })
  .meta({ id: 'DerivationPage' });
export type DerivationPage = z.infer<typeof DerivationPage>;

export const BuildHistory = z
  .object({
    total: count,
    /** Oldest first. */
    transitions: z.array(
      z.object({
        /** From 1 in this history. */
        sequence: count,
        attempt: z.int().positive(),
        from: BuildState.nullable(),
        to: BuildState,
        cause: BuildCause.nullable(),
        /** Milliseconds since 1970. */
        atMs: z.number(),
        culprit: nullableText,
        message: nullableText,
      }),
    ),
    nextCursor,
  })
  .meta({ id: 'BuildHistory' });
export type BuildHistory = z.infer<typeof BuildHistory>;

export const DerivationWhy = z.object({
  drvPath: z.string(),
  state: BuildState.nullable(),
  /** What it waits for; null where it waits for nothing. */
  why: nullableText,
});
