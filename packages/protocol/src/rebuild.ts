// Failures that are to be tried again: which, and what comes of it.
import { z } from 'zod';
import { Change } from './change.ts';

/** Of one job or one change: attributes of it under any of their names, or everything of it that failed. */
export const RebuildRequest = z
  .union([
    z.strictObject({ attrs: z.array(z.string().min(1).max(1000)).min(1).max(1000) }),
    z.strictObject({ failed: z.literal(true).optional() }),
  ])
  .meta({ id: 'RebuildRequest' });
export type RebuildRequest = z.infer<typeof RebuildRequest>;

export const Rebuild = z
  .object({
    /**
     * Derivations that are tried again and would not have been, what failed by them included; 0 where all of it was
     * asked for before.
     */
    cleared: z.int().nonnegative(),
    /** What is judged again, by this request or anyway, oldest first. What succeeded is not built again. */
    changes: z.array(Change),
  })
  .meta({ id: 'Rebuild' });
export type Rebuild = z.infer<typeof Rebuild>;
