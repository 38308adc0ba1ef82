// A change that somebody asks to have judged by hand → its row, with the commits that its names mean now.
import { isAbsolute } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ReviewSubmission } from '@eka-ci/protocol/submission';
import type { ChangeListing, Database, NewSubmission, StoredChange } from '../database/database.ts';
import { type Git, GitError, type GitSource } from '../git/git.ts';
import { parseSafePath } from '../lib/safe-path.ts';
import { readSubmission, submissionText } from './stored-submission.ts';

export interface SubmitReviewDeps {
  readonly git: Pick<Git, 'findCommits'>;
  readonly database: Pick<Database, 'changes'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** There is something new to judge. */
  readonly onSubmitted: (change: ChangeListing) => void;
  /** For finding the commits; who submits waits for that. @default 20000 */
  readonly findTimeoutMs?: number;
}

export type SubmittedReview =
  | { readonly kind: 'new'; readonly change: StoredChange }
  /** The same was submitted before: the change as it is now. */
  | { readonly kind: 'known'; readonly change: StoredChange }
  /** The id is that of something else. */
  | { readonly kind: 'taken' }
  /** `message` says what to write instead. */
  | { readonly kind: 'refused'; readonly message: string };

export type SubmitReview = (submission: ReviewSubmission) => Promise<SubmittedReview>;

const hasCredentials = (text: string): boolean => {
  // As somebody may write it for ssh, which has no place for a password.
  if (/^[^/@]*:[^/@]*@/.test(text)) return true;
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  // The user name of ssh is none of a secret.
  return url.password !== '' || (/^https?:$/.test(url.protocol) && url.username !== '');
};

/** Null where nothing is wrong with it by itself. */
const refusalOf = ({ source, base, merge, file, sandbox }: ReviewSubmission): string | null => {
  if (source.kind === 'local' && (!isAbsolute(source.path) || source.path.includes('\0'))) {
    return 'source.path: must be an absolute path';
  }
  if (source.kind === 'url' && sandbox === 'preferred') {
    return 'sandbox: a repository from elsewhere is evaluated in the sandbox only: write "required"';
  }
  if (base.kind === 'nothing' && merge) return 'merge: there is no merge into nothing: write false';
  const parsed = file === null ? null : parseSafePath(file);
  return parsed?.kind === 'refused' ? `file: ${JSON.stringify(file)} ${parsed.reason}` : null;
};

const sourceOf = ({ source }: ReviewSubmission): GitSource => {
  if (source.kind === 'url' && hasCredentials(source.url)) {
    throw new GitError(
      'GIT_URL_INVALID',
      'the URL holds a user name or a password, which would be kept and shown: leave them out',
    );
  }
  return source;
};

/** Null where the base is nothing. */
const baseRevisions = ({ base }: ReviewSubmission): readonly (string | null)[] => {
  switch (base.kind) {
    case 'revision':
      return [base.revision];
    case 'default':
    case 'default-or-nothing':
      return [null];
    case 'nothing':
      return [];
  }
};

const findCommits = async (deps: SubmitReviewDeps, submission: ReviewSubmission) => {
  const timeoutMs = deps.findTimeoutMs ?? 20_000;
  const timeout = AbortSignal.timeout(timeoutMs);
  const revisions = [submission.head, ...baseRevisions(submission)];
  try {
    const [head, base] = await deps.git.findCommits(sourceOf(submission), revisions, timeout);
    if (head === undefined) throw new Error('the head was not looked for');
    const isNothing = submission.base.kind === 'default-or-nothing' && base?.sha === head.sha;
    return { head, base: isNothing ? null : (base ?? null) };
  } catch (error) {
    if (!timeout.aborted) throw error;
    const seconds = Math.round(timeoutMs / 1000);
    throw new GitError(
      'GIT_TIMEOUT',
      `the repository did not answer within ${seconds} s: is it there, and is the network slow? Try again`,
      error,
    );
  }
};

const resolve = async (deps: SubmitReviewDeps, submission: ReviewSubmission): Promise<NewSubmission> => {
  const { head, base } = await findCommits(deps, submission);
  const { id, source } = submission;
  return {
    id,
    repository: source.kind === 'local' ? source.path : source.url,
    branch: submission.head,
    base: base?.sha ?? null,
    head: head.sha,
    // The head's own subject, once it is judged.
    title: submission.head,
    requestJson: submissionText({ submission, baseName: base?.revision ?? null }),
    atMs: deps.clock(),
  };
};

const isSame = (change: StoredChange, submission: ReviewSubmission): boolean =>
  change.kind === 'submitted' && isDeepStrictEqual(readSubmission(change).submission, submission);

/** The returned function throws GitError as of `Git.findCommits`; DatabaseError; SubmissionUnreadableError. */
export const createSubmitReview = (deps: SubmitReviewDeps): SubmitReview => {
  const { changes } = deps.database;
  const findKnown = async (submission: ReviewSubmission): Promise<SubmittedReview | null> => {
    const change = await changes.find(submission.id);
    if (change === null) return null;
    return isSame(change, submission) ? { kind: 'known', change } : { kind: 'taken' };
  };
  return async (submission) => {
    const message = refusalOf(submission);
    if (message !== null) return { kind: 'refused', message };
    // Before the names are looked up again: they may mean other commits by now.
    const known = await findKnown(submission);
    if (known !== null) return known;
    const { change, isNew } = await changes.submit(await resolve(deps, submission));
    const submitted = await findKnown(submission);
    if (submitted?.kind !== 'known') return { kind: 'taken' };
    if (!isNew) return submitted;
    deps.onSubmitted(change);
    return { kind: 'new', change: submitted.change };
  };
};
