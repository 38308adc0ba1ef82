// The one shape of every answer that is not a success.
import { z } from 'zod';

export const ErrorBody = z
  .object({
    error: z.object({
      /** Stable: programs may rely on it. docs/reference/errors.md lists them. */
      code: z.string(),
      /** For people: what is wrong and what to do. May change. */
      message: z.string(),
      /** One entry for each fault of the request, where that is known. */
      details: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    }),
  })
  .meta({ id: 'Error' });
export type ErrorBody = z.infer<typeof ErrorBody>;
