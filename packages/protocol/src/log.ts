// Asking for the log of a build.
import { z } from 'zod';

export const LogQuery = z.strictObject({
  /** Counted from 1; the newest attempt that has a log where absent. */
  attempt: z.coerce.number().int().positive().optional(),
});
