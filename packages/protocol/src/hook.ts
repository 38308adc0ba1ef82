// Runs of hooks on the wire: what operators have done after builds, and what came of it.
import { z } from 'zod';
import { DrvParams } from './derivation.ts';
import { nextCursor } from './page.ts';

const nullableTime = z.number().nullable();

const HookRunState = z.enum([
  'waiting',
  'running',
  'succeeded',
  'failed',
  'timed-out',
  'interrupted',
  'not-started',
]);

export const HookRun = z.object({
  /** As the server's configuration calls it. */
  hook: z.string(),
  /** Of the build, counted from 1. */
  attempt: z.int().positive(),
  /** What came of the build. */
  build: z.enum(['succeeded', 'failed']),
  /** interrupted: the server ended meanwhile. not-started: it never ran. Neither is repeated. */
  state: HookRunState,
  /** Of its program; null where it has none. */
  exitStatus: z.int().nullable(),
  message: z.string().nullable(),
  repository: z.string(),
  /** A branch, or `pull/` and a number. */
  branch: z.string(),
  job: z.string(),
  commit: z.string(),
  /** Milliseconds since 1970. */
  wantedAtMs: z.number(),
  startedAtMs: nullableTime,
  finishedAtMs: nullableTime,
  /** Path on this server; null where it never began. */
  logPath: z.string().nullable(),
});
export type HookRun = z.infer<typeof HookRun>;

export const HookRunPage = z
  .object({
    total: z.int().nonnegative(),
    /** Newest first. */
    runs: z.array(HookRun),
    nextCursor,
  })
  .meta({ id: 'HookRunPage' });
export type HookRunPage = z.infer<typeof HookRunPage>;

export const HookLogParams = DrvParams.extend({
  hook: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'must be the id of a hook')
    .describe("As the server's configuration calls it."),
});
