// Asking for a repository's badge.
import { z } from 'zod';

export const BadgeParams = z.object({
  forge: z.string().min(1).max(100),
  owner: z.string().min(1).max(300),
  file: z
    .string()
    .max(300)
    .regex(/^.+\.svg$/s, 'is not <repository>.svg'),
});

export const BadgeQuery = z.strictObject({
  /** A base branch; the one judged last where absent. */
  branch: z.string().min(1).max(500).optional(),
});
