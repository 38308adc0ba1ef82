// How lists are paged: `limit` entries from `cursor` on; the answer names the next cursor.
import { z } from 'zod';

export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  /** `nextCursor` of the page before; opaque. */
  cursor: z.string().min(1).max(1000).optional(),
});
export type PageQuery = z.infer<typeof PageQuery>;

/** Null on the last page. */
export const nextCursor = z.string().nullable();
