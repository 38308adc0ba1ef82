// Checks on the wire: the sandboxed commands over a change's tree, and what came of them.
import { z } from 'zod';

const outcomes = ['passed', 'failed', 'timed-out', 'refused', 'cancelled', 'interrupted'] as const;

/** refused: it was not run. interrupted: ended by nobody who wanted that, as where the server ended. */
export const CheckOutcome = z.enum(outcomes);

export const CheckParams = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be the id of a check')
    .describe('Of the run of a check.'),
});

const runState = z.enum(['queued', 'running', ...outcomes]);

export const CheckOfChange = z
  .object({
    id: z.string(),
    changeId: z.string(),
    name: z.string(),
    state: runState,
    /** With which its command ended; null where it did not end by itself. */
    status: z.int().nullable(),
    /** Why it did not pass; null where it did, or is not at its end. */
    reason: z.string().nullable(),
    durationMs: z.number().nullable(),
    /** True: the same was run before, and this is what came of it. */
    kept: z.boolean(),
    /** Milliseconds since 1970. */
    queuedAtMs: z.number(),
    endedAtMs: z.number().nullable(),
    /** Path on this server; null where there is no log. */
    logPath: z.string().nullable(),
  })
  .meta({ id: 'CheckOfChange' });
export type CheckOfChange = z.infer<typeof CheckOfChange>;

export const CheckLogQuery = z.object({
  format: z.enum(['text', 'html']).optional().describe('As `Accept` says where it is not given.'),
});
