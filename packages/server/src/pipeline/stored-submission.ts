// A submission as its row keeps it: what was asked, and what was found when it came.
import { ReviewSubmission } from '@eka-ci/protocol/submission';
import { z } from 'zod';
import type { StoredChange } from '../database/database.ts';

const StoredSubmission = z.object({
  submission: ReviewSubmission,
  /** What the base is called; null where it is nothing. */
  baseName: z.string().nullable(),
});
export type StoredSubmission = z.infer<typeof StoredSubmission>;

/** Thrown when a row's request is none that this version understands. */
export class SubmissionUnreadableError extends Error {
  readonly code = 'SUBMISSION_UNREADABLE';
  constructor(id: string, cause: unknown) {
    super(`the request of ${id} cannot be read by this version of EkaCI: submit it again`, { cause });
    this.name = 'SubmissionUnreadableError';
  }
}

export const submissionText = (stored: StoredSubmission): string => JSON.stringify(stored);

/** @throws SubmissionUnreadableError */
export const readSubmission = ({
  id,
  requestJson,
}: Pick<StoredChange, 'id' | 'requestJson'>): StoredSubmission => {
  try {
    return StoredSubmission.parse(JSON.parse(requestJson ?? 'null'));
  } catch (cause) {
    throw new SubmissionUnreadableError(id, cause);
  }
};
