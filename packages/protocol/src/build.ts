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
        attempt: z.int().positive(),
        builder: z.string(),
        /** What the build printed last as its phase: any text. */
        phase: z.string().nullable(),
        /** Milliseconds since 1970. */
        startedAtMs: z.number(),
        why: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'ActiveBuilds' });
export type ActiveBuilds = z.infer<typeof ActiveBuilds>;

export const BuildQueue = z
  .object({
    total: count,
    /** In the order in which they would be started now. */
    builds: z.array(z.object({ drvPath: z.string(), name: z.string(), why: z.string().nullable() })),
    nextCursor,
  })
  .meta({ id: 'BuildQueue' });
export type BuildQueue = z.infer<typeof BuildQueue>;
