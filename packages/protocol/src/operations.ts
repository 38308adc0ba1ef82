// Whether the server lives, whether it takes work, and what it is.
import { z } from 'zod';

const count = z.int().nonnegative();

export const Health = z.object({ status: z.literal('ok') });
export const Readiness = z.object({ status: z.literal('ready') });

export const ServerStatus = z
  .object({
    version: z.string(),
    ready: z.boolean(),
    draining: z.boolean(),
    /** Milliseconds since 1970. */
    startedAtMs: z.number(),
    uptimeMs: z.number(),
    /** Number of the newest migration of the database. */
    schemaVersion: count,
    nixVersion: z.string(),
    evaluator: z.string(),
    systems: z.array(z.string()),
    builds: z.object({ active: count, queued: count, slots: count }),
    changes: z.object({ queued: count, judging: count }),
  })
  .meta({ id: 'ServerStatus' });
export type ServerStatus = z.infer<typeof ServerStatus>;
