// Pieces that webhooks and answers of GitHub share. Each takes what we need of it, and ignores the rest.
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { EventRepository, ForgeRepositoryId, ForgeUser } from '../forge-event.ts';

const sha = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export const Sha = z
  .string()
  .regex(sha)
  .transform((text) => text as CommitSha);

/** In pushes: no commit, where the branch is made or deleted. */
export const ShaOrNone = z
  .string()
  .regex(sha)
  .transform((text) => (/^0+$/.test(text) ? null : (text as CommitSha)));

/** A whole number that loses nothing in JavaScript. */
export const Id = z.int().nonnegative();

/** `owner/repo`, such that it can stand in a path: neither part is `.` or `..`. */
const FullName = z.string().regex(/^(?!\.\.?\/)[\w.-]{1,100}\/(?!\.\.?$)[\w.-]{1,100}$/);

export const BranchName = z.string().min(1).max(1024);

export const Moment = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .pipe(z.number());

export const User = z
  .object({ id: Id, login: z.string().min(1).max(100), type: z.string().optional() })
  .transform(({ id, login, type }): ForgeUser => ({ id, login, isPerson: type === 'User' }));

export const RepositoryId = z
  .object({ id: Id, full_name: FullName })
  .transform(({ id, full_name: name }): ForgeRepositoryId => ({ id, name }));

export const Repository = z
  .object({ id: Id, full_name: FullName, private: z.boolean(), default_branch: BranchName })
  .transform(
    (from): EventRepository => ({
      id: from.id,
      name: from.full_name,
      isPrivate: from.private,
      defaultBranch: from.default_branch,
    }),
  );

/** A head may be in a fork that nobody has any more. */
const Side = z.object({ ref: BranchName, sha: Sha });

export const PullRequest = z
  .object({
    number: Id,
    title: z.string().transform((text) => text.slice(0, 1000)),
    state: z.string(),
    user: User.nullable(),
    draft: z.boolean().optional(),
    head: Side.extend({ repo: RepositoryId.nullish() }),
    base: Side.extend({ repo: RepositoryId.nullish() }),
  })
  .transform((from) => ({
    number: from.number,
    title: from.title,
    author: from.user,
    isDraft: from.draft ?? false,
    isOpen: from.state === 'open',
    headSha: from.head.sha,
    headBranch: from.head.ref,
    headRepository: from.head.repo ?? null,
    baseSha: from.base.sha,
    baseBranch: from.base.ref,
    ...(from.base.repo && { repositoryId: from.base.repo.id }),
  }));
