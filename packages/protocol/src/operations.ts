// Whether the server lives, whether it takes work, and what it is.
import { z } from 'zod';
import { Repository } from './repository.ts';

const count = z.int().nonnegative();

export const Health = z.object({ status: z.literal('ok') });
export const Readiness = z.object({ status: z.literal('ready') });

/** How far the pushes to one cache are: one that is configured, or one that something waits for all the same. */
export const CacheQueue = z
  .object({
    cache: z.string(),
    /** Those that run among them. */
    waiting: count,
    /** Of these, those whose last attempt failed. */
    failing: count,
    /** Milliseconds since 1970: since when the oldest waits; null where nothing does. */
    waitingSinceMs: z.number().nullable(),
    /** Those that run, some pushes each. */
    active: count,
    /** Why nothing is pushed now; null where it is. */
    fault: z.string().nullable(),
  })
  .meta({ id: 'CacheQueue' });
export type CacheQueue = z.infer<typeof CacheQueue>;

export const CacheParams = z.object({ cache: z.string().min(1).max(100) });
export const PushOrder = z.object({
  /** everything: also what was pushed; the cache is asked whether it has it still. */
  what: z.enum(['waiting', 'everything']).default('waiting'),
});
export const PushesDue = z
  .object({
    /** Those that are due by this, and were not before. */
    due: count,
  })
  .meta({ id: 'PushesDue' });
export type PushesDue = z.infer<typeof PushesDue>;

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
    /** `out`: nothing new is started on them now. */
    builders: z.object({ up: count, out: count }),
    changes: z.object({ queued: count, judging: count }),
    /** Why nothing begins now, though the server is ready: a full disk, say. One clause each. */
    warnings: z.array(z.string()),
    repositories: z.array(Repository),
    caches: z.array(CacheQueue),
  })
  .meta({ id: 'ServerStatus' });
export type ServerStatus = z.infer<typeof ServerStatus>;

/** An operator lets the server run dry before it is stopped. */
export const DrainState = z
  .object({
    draining: z.boolean(),
    /** Nothing runs and nothing is being judged any more: it may be stopped. False where it is not draining. */
    dry: z.boolean(),
  })
  .meta({ id: 'DrainState' });
export type DrainState = z.infer<typeof DrainState>;
