// What the row of an offered change holds beside its columns: how its forge calls it, and whose it is.
import { z } from 'zod';
import type { StoredChange } from '../database/database.ts';

export const OfferedRequest = z.object({
  /** Of the forge. */
  host: z.string(),
  /** `owner/repo`, as of the last time that it was seen. */
  repository: z.string(),
  repositoryId: z.number(),
  isPrivate: z.boolean(),
  defaultBranch: z.string(),
  /** Null where the account is gone. */
  author: z.object({ id: z.number(), login: z.string() }).nullable(),
  headBranch: z.string(),
  /** `owner/repo`; null where a fork was deleted. */
  headRepository: z.string().nullable(),
});
export type OfferedRequest = z.output<typeof OfferedRequest>;

/** Thrown for a row that another version wrote. */
export class OfferUnreadableError extends Error {
  readonly code = 'OFFER_UNREADABLE';
  constructor(id: string) {
    super(`the change ${id} was taken in by another version of EkaCI and cannot be read: push to it again`);
    this.name = 'OfferUnreadableError';
  }
}

/** @throws OfferUnreadableError */
export const readOffered = ({
  id,
  requestJson,
}: Pick<StoredChange, 'id' | 'requestJson'>): OfferedRequest => {
  if (requestJson === null) throw new OfferUnreadableError(id);
  try {
    return OfferedRequest.parse(JSON.parse(requestJson));
  } catch {
    throw new OfferUnreadableError(id);
  }
};
