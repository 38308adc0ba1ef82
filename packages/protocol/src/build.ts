// The builds that run, and those that wait for a turn.
import { z } from 'zod';
import { nextCursor } from './page.ts';

const count = z.int().nonnegative();

export const ActiveBuilds = z
  .object({
    /** Oldest first. */
    builds: z.array(
      z.object({
        drvPath: z.string(),
        name: z.string(),
        /** Null where the derivation was forgotten while it was built. */
        system: z.string().nullable(),
        attempt: z.int().positive(),
        builder: z.string(),
        /** What the build printed last as its phase: any text. */
        phase: z.string().nullable(),
        /** Milliseconds since 1970. */
        startedAtMs: z.number(),
        /** By the server's own clock, which the client's may differ from. */
        elapsedMs: z.number().nonnegative(),
        /** What earlier builds of the package took; null where there were none. */
        expectedMs: z.number().nonnegative().nullable(),
        why: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'ActiveBuilds' });
export type ActiveBuilds = z.infer<typeof ActiveBuilds>;

export const BuildQueue = z
  .object({
    total: count,
    /** In the order in which they were asked for, inputs before dependents. */
    builds: z.array(
      z.object({
        drvPath: z.string(),
        name: z.string(),
        /** Null where it takes long to find: `/v1/drvs/{drv}/why` tells it of one. */
        why: z.string().nullable(),
      }),
    ),
    nextCursor,
  })
  .meta({ id: 'BuildQueue' });
export type BuildQueue = z.infer<typeof BuildQueue>;
