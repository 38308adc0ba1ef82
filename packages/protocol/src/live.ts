// What goes over the WebSocket `/v1/ws/builds`, a JSON text a message: subscriptions one way, events the other.
import { z } from 'zod';
import { BuildCause } from './build-cause.ts';
import { Change } from './change.ts';
import { ReviewEvent } from './review.ts';

const text = z.string().min(1).max(1000);

/** What can be followed. `allbuilds` has no id; a `drv` is its path, or the last part of it; a `change` its id. */
const Resource = z.discriminatedUnion('resource', [
  z.object({ resource: z.literal('allbuilds') }),
  z.object({ resource: z.enum(['commit', 'job', 'drv', 'change']), id: text }),
]);
export type Resource = z.infer<typeof Resource>;

/** From the client. Both are idempotent. */
export const LiveRequest = z.object({ type: z.enum(['subscribe', 'unsubscribe']) }).and(Resource);
export type LiveRequest = z.infer<typeof LiveRequest>;

const count = z.int().nonnegative();
const drv = { drvPath: z.string(), attempt: z.int().positive() };

/** From the server. What a client does not know it should pass over: newer servers may say more. */
export const LiveEvent = z.discriminatedUnion('type', [
  /** A subscription stands: whatever happens from here on is told. */
  z.object({ type: z.literal('subscribed'), to: Resource }),
  z.object({ type: z.literal('unsubscribed'), from: Resource }),
  /** A request that was not understood; the connection goes on. */
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
  z.object({
    type: z.literal('build_state_change'),
    ...drv,
    /** Null for a derivation that had no build. */
    from: z.string().nullable(),
    to: z.string(),
    cause: BuildCause.nullable(),
    message: z.string().nullable(),
    atMs: z.number(),
    /** Increases from change to change, over all builds. */
    sequence: count,
  }),
  /** Told to subscribers of `drv` alone. `line` is counted from 1 in the log of that attempt, and has no line feed. */
  z.object({ type: z.literal('log_line'), ...drv, line: z.int().positive(), text: z.string() }),
  z.object({
    type: z.literal('job_stats_update'),
    changeId: z.string(),
    /** Builds that have ended and builds wanted so far. */
    finished: count,
    total: count,
    failed: count,
  }),
  z.object({
    type: z.literal('job_complete'),
    changeId: z.string(),
    job: z.string(),
    conclusion: z.string(),
    headline: z.string(),
  }),
  /** A change came into another state. */
  z.object({ type: z.literal('change_update'), change: Change }),
  /** What a judgement does, step by step: told to subscribers of `change` alone. */
  z.object({ type: z.literal('change_progress'), changeId: z.string(), event: ReviewEvent }),
  /** The reader is slower than what happens: so many events were left out here. Ask again for what matters. */
  z.object({ type: z.literal('skipped'), events: z.int().positive() }),
]);
export type LiveEvent = z.infer<typeof LiveEvent>;
