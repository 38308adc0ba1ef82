// One derivation that an operator wants built, whatever change it belongs to.
import { z } from 'zod';
import { BuildCause } from './build-cause.ts';

export const BuildOrder = z
  .strictObject({
    /** The client's choice: the same order may be sent twice, and is carried out once. */
    id: z.uuid(),
    /** Try it again although it failed before. */
    force: z.boolean().default(false),
    /** Also try again whatever it needs that failed before. */
    rebuildAll: z.boolean().default(false),
  })
  .meta({ id: 'BuildOrder' });
export type BuildOrder = z.infer<typeof BuildOrder>;

/** How it came to rest. */
export const BuildEnding = z.object({
  /** `fault`: it could not be tried, and `message` says why. */
  outcome: z.enum(['succeeded', 'failed', 'dependency-failed', 'interrupted', 'unsatisfiable', 'fault']),
  cause: BuildCause.nullable(),
  /** What failed, where that is another derivation: its log says more. */
  culprit: z.string().nullable(),
  /** For people; null where it succeeded. */
  message: z.string().nullable(),
});
export type BuildEnding = z.infer<typeof BuildEnding>;

export const OrderedBuild = z
  .object({
    id: z.string(),
    drvPath: z.string(),
    force: z.boolean(),
    rebuildAll: z.boolean(),
    /** `waiting`: for the change that is being judged. */
    state: z.enum(['waiting', 'building', 'done']),
    /** Null until it is done, and where it was done before the server was started: the derivation tells then. */
    ending: BuildEnding.nullable(),
  })
  .meta({ id: 'OrderedBuild' });
export type OrderedBuild = z.infer<typeof OrderedBuild>;

export const OrderedBuildParams = z.object({ id: z.uuid() });
