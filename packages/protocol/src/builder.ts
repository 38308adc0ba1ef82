// The builders that a server may use: what each offers, what runs on it, and which of them are out.
import { z } from 'zod';

const count = z.int().nonnegative();

/** Fixed-output derivations have slots of their own: they wait for the network, not for a processor. */
const slots = z.object({ build: count, fixedOutput: count });

const builder = z.object({
  /** Unique among the builders of a server. */
  name: z.string(),
  /** True for the store of the server itself: nothing need be copied. */
  isLocal: z.boolean(),
  systems: z.array(z.string()),
  features: z.array(z.string()),
  /** It builds only what asks for all of these. */
  mandatoryFeatures: z.array(z.string()),
  /** How fast it is against others; 1 for the local one. */
  speed: z.number().positive(),
  slots,
  /** Of the slots, those that are taken. */
  running: slots,
  /** Why nothing new is started on it; null where all is well. */
  outage: z
    .object({
      /** For people, without a full stop. */
      reason: z.string(),
      /** Milliseconds since 1970: when it is asked again. */
      retryAtMs: z.number(),
    })
    .nullable(),
});
export type BuilderStatus = z.infer<typeof builder>;

export const Builders = z
  .object({
    /** The local one first. */
    builders: z.array(builder),
  })
  .meta({ id: 'Builders' });
export type Builders = z.infer<typeof Builders>;
