// What goes over the WebSocket `/v1/ws/builds`, a JSON text a message: subscriptions one way, events the other.
// docs/reference/live-events.md is made from what is described here.
import { z } from 'zod';
import { BuildCause } from './build-cause.ts';
import { Change, JudgementStage } from './change.ts';
import { ReviewEvent } from './review.ts';

const text = z.string().min(1).max(1000);

const Resource = z.discriminatedUnion('resource', [
  z
    .object({ resource: z.literal('allbuilds') })
    .describe('States of all builds and of all changes: `build_state_change`, `change_update`.'),
  z
    .object({ resource: z.literal('change'), id: text })
    .describe(
      'One change by its id: `change_update`, `change_progress`, `job_stats_update`, `job_complete`, and ' +
        '`build_state_change` of the builds that it is judged by.',
    ),
  z
    .object({ resource: z.literal('commit'), id: text })
    .describe('The changes with this head, a full sha: as `change`, without `change_progress`.'),
  z
    .object({ resource: z.literal('job'), id: text })
    .describe(
      'One job by its id, `<id of the change>.<position>`: as `commit` for its change, `job_complete` of this job alone.',
    ),
  z
    .object({ resource: z.literal('drv'), id: text })
    .describe(
      'One derivation by its path, or the last part of it: its `build_state_change`, and `log_line` while it is built.',
    ),
]);
export type Resource = z.infer<typeof Resource>;

/** From the client. Both are idempotent. */
export const LiveRequest = z.object({ type: z.enum(['subscribe', 'unsubscribe']) }).and(Resource);
export type LiveRequest = z.infer<typeof LiveRequest>;

/** What can be followed, with what is told of it. */
export const liveResources = Resource.options;

const count = z.int().nonnegative();
const drv = { drvPath: z.string(), attempt: z.int().positive().describe('Counted from 1.') };

/** From the server. What a client does not know it should pass over: newer servers may say more. */
export const LiveEvent = z.discriminatedUnion('type', [
  z
    .object({ type: z.literal('subscribed'), to: Resource })
    .describe('A subscription stands: whatever happens from here on is told.'),
  z
    .object({ type: z.literal('unsubscribed'), from: Resource })
    .describe('Nothing more of this is told, unless it belongs to another subscription.'),
  z
    .object({ type: z.literal('error'), code: z.string(), message: z.string() })
    .describe('A request was not understood or is refused; the connection goes on.'),
  z
    .object({
      type: z.literal('build_state_change'),
      ...drv,
      from: z.string().nullable().describe('Null for a derivation that had no build.'),
      to: z.string(),
      cause: BuildCause.nullable(),
      message: z.string().nullable(),
      atMs: z.number().describe('Milliseconds since 1970.'),
    })
    .describe('A build came into another state, which is recorded by then.'),
  z
    .object({
      type: z.literal('log_line'),
      ...drv,
      line: z.int().positive().describe('Counted from 1 in the log of that attempt.'),
      text: z.string().describe('Without its line feed; anything that a build may print.'),
      cut: z.boolean().describe('True: the line is longer, and the rest of it is only in the log.'),
    })
    .describe('A build printed a line. Told to subscribers of `drv` alone.'),
  z
    .object({
      type: z.literal('job_stats_update'),
      changeId: z.string(),
      stage: JudgementStage.describe('What the judgement does.'),
      finished: count.describe('Builds that have ended.'),
      total: count.describe('Builds wanted so far.'),
      failed: count.describe('Of those that have ended.'),
      etaS: z
        .number()
        .nonnegative()
        .optional()
        .describe(
          'Seconds that the builds wanted so far are expected to take; absent where it is not known.',
        ),
    })
    .describe('How far the judgement of a change is, at most a few times a second.'),
  z
    .object({
      type: z.literal('job_complete'),
      changeId: z.string(),
      jobId: z.string(),
      job: z.string(),
      conclusion: z.string(),
      headline: z.string(),
    })
    .describe('A job of a change was judged: comes before the change is told to be.'),
  z
    .object({ type: z.literal('change_update'), change: Change })
    .describe('A change came into another state, which is recorded by then.'),
  z
    .object({ type: z.literal('change_progress'), changeId: z.string(), event: ReviewEvent })
    .describe('What a judgement does, step by step. Told to subscribers of `change` alone.'),
  z
    .object({ type: z.literal('skipped'), events: z.int().positive() })
    .describe(
      'The reader is slower than what happens: so many events were left out here. Ask again for what matters.',
    ),
]);
export type LiveEvent = z.infer<typeof LiveEvent>;
