// Asking for the log of a build, and for lines of it.
import { z } from 'zod';
import { nextCursor, PageQuery } from './page.ts';

/** Counted from 1; the newest attempt that has a log where absent. */
const attempt = z.coerce.number().int().positive().optional();

export const LogQuery = z.strictObject({
  attempt,
  /** `html`: a page with colours, and a number for each line. What `Accept` asks for where absent. */
  format: z.enum(['text', 'html']).optional(),
});

export const LogSearchQuery = PageQuery.extend({
  attempt,
  /** Capital letters do not matter. */
  q: z.string().min(1).max(200),
});

export const FoundLogLines = z
  .object({
    lines: z.array(
      z.object({
        line: z.int().positive(),
        /** Without escape sequences; of a long line the part around what was sought. */
        text: z.string(),
      }),
    ),
    /** A page may have fewer lines than were asked for, or none, and yet not be the last. */
    nextCursor,
  })
  .meta({ id: 'FoundLogLines' });
