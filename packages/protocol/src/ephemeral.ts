// What is said to a server that serves one review and ends with whoever started it: one line in, one line out, both
// JSON. After that it speaks HTTP at its socket, as every server does; closing its standard input ends it.
import { z } from 'zod';

const duration = z.int().positive();

export const EphemeralOptions = z.strictObject({
  /** Where the build logs are kept afterwards, absolute; null removes them with the rest. */
  keepLogs: z.string().nullable(),
  limits: z.strictObject({
    /** Evaluation processes, and the memory of each. */
    workers: z.int().positive(),
    maxMemoryMib: z.int().positive(),
    evaluationTimeoutMs: duration,
    /** Builds at the same time. */
    maxJobs: z.int().positive(),
    silenceTimeoutMs: duration,
    maxDurationMs: duration,
    /** Where more are left to build, nothing is; null: however many. */
    maxRebuilds: z.int().nonnegative().nullable(),
  }),
});
export type EphemeralOptions = z.infer<typeof EphemeralOptions>;

export const EphemeralAnswer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('listening'), socketPath: z.string() }),
  /** It could not start, and ends. */
  z.object({ type: z.literal('fault'), code: z.string(), message: z.string() }),
]);
export type EphemeralAnswer = z.infer<typeof EphemeralAnswer>;
