// Pull requests: opened, moved, closed, and what git keeps for them.
import { mergeBase } from '../git/commits.ts';
import { mergeCommits } from '../git/merge.ts';
import { bringCommit, isAncestor, moveRef } from '../git/repository-folder.ts';
import { renderPull } from '../render/pull.ts';
import type { Account, Issue, Pull, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

/** A delivery about a pull request; GitHub does not know yet whether it can be merged when it sends one. */
export const tellPull = async (
  world: World,
  pull: Pull,
  told: { readonly action: string; readonly by: Account; readonly more?: JsonObject },
): Promise<void> => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const rendered = await renderPull(world, pull, { mergeable: null, state: 'unknown' });
  world.publish({
    event: 'pull_request',
    action: told.action,
    sender: told.by,
    repository,
    body: { number: pull.number, pull_request: rendered, ...told.more },
  });
};

/** Writes `refs/pull/N/head`, and `refs/pull/N/merge` where head and base go together. */
const refreshPull = async (world: World, pull: Pull): Promise<void> => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const head = pull.headRepositoryId === null ? null : mustGet(world.repositories, pull.headRepositoryId);
  const { folder } = repository;
  const ref = `refs/pull/${pull.number}`;
  if (head !== null)
    await bringCommit(world.git, folder, { from: head.folder, sha: pull.headSha, ref: `${ref}/head` });
  const merge = await mergeCommits(world.git, folder, {
    base: pull.baseSha,
    head: pull.headSha,
    message: `Merge ${pull.headSha} into ${pull.baseSha}`,
    atMs: world.clock.now(),
    author: { name: 'GitHub', email: 'noreply@github.com' },
  });
  // On a conflict GitHub keeps the last merge that there was.
  if (merge !== null) await moveRef(world.git, folder, `${ref}/merge`, merge);
  pull.testMerge = merge === null ? { kind: 'conflict' } : { kind: 'clean', sha: merge };
};

export interface NewPull {
  readonly repository: Repository;
  /** The fork, or the repository itself. */
  readonly from: Repository;
  readonly head: string;
  readonly base: string;
  readonly title: string;
  readonly body: string | null;
  readonly author: Account;
  readonly draft: boolean;
}

const nextNumber = (repository: Repository): number => {
  const number = repository.nextNumber;
  repository.nextNumber += 1;
  return number;
};

const beginConversation = (
  world: World,
  repository: Repository,
  given: { readonly title: string; readonly body: string | null; readonly author: Account },
) => ({
  id: world.nextId(),
  repositoryId: repository.id,
  number: nextNumber(repository),
  title: given.title,
  body: given.body,
  authorId: given.author.id,
  state: 'open' as const,
  locked: false,
  deleted: false,
  createdAtMs: world.clock.now(),
  updatedAtMs: world.clock.now(),
  closedAtMs: null,
});

export const openIssue = (
  world: World,
  given: {
    readonly repository: Repository;
    readonly title: string;
    readonly body: string | null;
    readonly author: Account;
  },
): Issue => {
  const issue: Issue = { kind: 'issue', ...beginConversation(world, given.repository, given) };
  world.issues.set(issue.id, issue);
  return issue;
};

export const openPull = async (world: World, given: NewPull): Promise<Pull> => {
  const { repository, from, head, base } = given;
  const headSha = from.branches.get(head);
  const baseSha = repository.branches.get(base);
  if (headSha === undefined) throw new Refusal(422, `no branch ${head} to open a pull request from`);
  if (baseSha === undefined) throw new Refusal(422, `no branch ${base} to open a pull request against`);
  const pull: Pull = {
    kind: 'pull',
    ...beginConversation(world, repository, given),
    draft: given.draft,
    headRepositoryId: from.id,
    headRef: head,
    headSha,
    baseRef: base,
    baseSha,
    testMerge: { kind: 'conflict' },
    unknownReads: 0,
    merged: null,
  };
  world.pulls.set(pull.id, pull);
  await refreshPull(world, pull);
  await tellPull(world, pull, { action: 'opened', by: given.author });
  return pull;
};

const touch = (world: World, pull: Pull): void => {
  pull.updatedAtMs = world.clock.now();
};

export const closePull = async (world: World, pull: Pull, by: Account): Promise<void> => {
  if (pull.state === 'closed') return;
  pull.state = 'closed';
  pull.closedAtMs = world.clock.now();
  touch(world, pull);
  await tellPull(world, pull, { action: 'closed', by });
};

export const reopenPull = async (world: World, pull: Pull, by: Account): Promise<void> => {
  if (pull.merged !== null) throw new Refusal(422, 'a merged pull request is not opened again');
  pull.state = 'open';
  pull.closedAtMs = null;
  touch(world, pull);
  await tellPull(world, pull, { action: 'reopened', by });
};

export const markMerged = async (
  world: World,
  pull: Pull,
  { sha, by }: { readonly sha: string; readonly by: Account },
): Promise<void> => {
  pull.merged = { sha, byId: by.id, atMs: world.clock.now() };
  await closePull(world, pull, by);
};

export const setDraft = async (
  world: World,
  pull: Pull,
  { draft, by }: { readonly draft: boolean; readonly by: Account },
): Promise<void> => {
  if (pull.draft === draft) return;
  pull.draft = draft;
  touch(world, pull);
  await tellPull(world, pull, { action: draft ? 'converted_to_draft' : 'ready_for_review', by });
};

export const editPull = async (
  world: World,
  pull: Pull,
  edit: {
    readonly by: Account;
    readonly title?: string | undefined;
    readonly body?: string | undefined;
    readonly base?: string | undefined;
  },
): Promise<void> => {
  const changes: Record<string, JsonObject> = {};
  if (edit.title !== undefined) {
    changes['title'] = { from: pull.title };
    pull.title = edit.title;
  }
  if (edit.body !== undefined) {
    changes['body'] = { from: pull.body ?? '' };
    pull.body = edit.body;
  }
  if (edit.base !== undefined) {
    const sha = mustGet(world.repositories, pull.repositoryId).branches.get(edit.base);
    if (sha === undefined) throw new Refusal(422, `there is no branch ${edit.base}`);
    changes['base'] = { ref: { from: pull.baseRef }, sha: { from: pull.baseSha } };
    pull.baseRef = edit.base;
    pull.baseSha = sha;
    await refreshPull(world, pull);
  }
  touch(world, pull);
  await tellPull(world, pull, { action: 'edited', by: edit.by, more: { changes } });
};

/** The head branch moved or went. */
export const moveHead = async (
  world: World,
  pull: Pull,
  { sha, by }: { readonly sha: string | null; readonly by: Account },
): Promise<void> => {
  if (sha === null) return closePull(world, pull, by);
  const before = pull.headSha;
  pull.headSha = sha;
  touch(world, pull);
  await refreshPull(world, pull);
  await tellPull(world, pull, { action: 'synchronize', by, more: { before, after: sha } });
};

/** The base branch moved or went. Who pushes a head to it has merged it; nobody is told of anything else. */
export const moveBase = async (
  world: World,
  pull: Pull,
  { sha, by }: { readonly sha: string | null; readonly by: Account },
): Promise<void> => {
  if (sha === null) return closePull(world, pull, by);
  const { folder } = mustGet(world.repositories, pull.repositoryId);
  const wasIn = (await mergeBase(world.git, folder, pull.baseSha, pull.headSha)) === pull.headSha;
  pull.baseSha = sha;
  if (!wasIn && (await isAncestor(world.git, folder, pull.headSha, sha)))
    return markMerged(world, pull, { sha, by });
  await refreshPull(world, pull);
};
