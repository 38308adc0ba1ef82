// Somebody moved branches: what follows from that.
import { listCommits, readCommit } from '../git/commits.ts';
import { isAncestor, moveRef, readBranches, writeCommit } from '../git/repository-folder.ts';
import { emailOf, renderPushedCommit } from '../render/commit.ts';
import { repositoryWebUrl } from '../render/repository.ts';
import type { Account, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { installationOf } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';
import { requestSuite } from './checks.ts';
import { moveBase, moveHead } from './pulls.ts';

const none = '0'.repeat(40);

interface Move {
  readonly branch: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly by: Account;
}

/** GitHub names at most so many in one delivery. */
const maxCommits = 2048;

const describePush = async (world: World, repository: Repository, move: Move): Promise<JsonObject> => {
  const { branch, before, after, by } = move;
  const { git } = world;
  const { folder } = repository;
  const range = before === null ? ['-1', after ?? ''] : [`${before}..${after}`, '--reverse'];
  const commits =
    after === null ? [] : await listCommits(git, folder, [`--max-count=${maxCommits}`, ...range]);
  const described: JsonObject[] = [];
  for (const commit of commits) described.push(await renderPushedCommit(world, repository, commit));
  const head =
    after === null ? null : await renderPushedCommit(world, repository, await readCommit(git, folder, after));
  const forced = before !== null && after !== null && !(await isAncestor(git, folder, before, after));
  const web = repositoryWebUrl(world, repository);
  return {
    ref: `refs/heads/${branch}`,
    before: before ?? none,
    after: after ?? none,
    created: before === null,
    deleted: after === null,
    forced,
    base_ref: null,
    compare: `${web}/compare/${(before ?? none).slice(0, 12)}...${(after ?? none).slice(0, 12)}`,
    commits: described,
    head_commit: head,
    pusher: { name: by.login, email: emailOf(by) },
  };
};

const tellMove = async (world: World, repository: Repository, move: Move): Promise<void> => {
  const { branch, before, after, by } = move;
  const about = { sender: by, repository };
  if (before === null || after === null)
    world.publish({
      ...about,
      event: before === null ? 'create' : 'delete',
      action: null,
      body: {
        ref: branch,
        ref_type: 'branch',
        pusher_type: 'user',
        ...(before === null ? { master_branch: repository.defaultBranch, description: null } : {}),
      },
    });
  const body = await describePush(world, repository, move);
  world.publish({ ...about, event: 'push', action: null, body });
};

const requestSuites = async (world: World, repository: Repository, move: Move): Promise<void> => {
  const { branch, before, after, by } = move;
  if (after === null) return;
  for (const app of world.apps.values()) {
    const installation = installationOf(world, app, repository);
    if (installation?.permissions['checks'] !== 'write') continue;
    await requestSuite(world, app, { repository, sha: after, branch, before: before ?? none, by });
  }
};

const movePulls = async (world: World, repository: Repository, move: Move): Promise<void> => {
  const to = { sha: move.after, by: move.by };
  for (const pull of world.pulls.values()) {
    if (pull.state === 'closed') continue;
    if (pull.headRepositoryId === repository.id && pull.headRef === move.branch)
      await moveHead(world, pull, to);
    else if (pull.repositoryId === repository.id && pull.baseRef === move.branch)
      await moveBase(world, pull, to);
  }
};

/** Looks which branches are elsewhere than at the last look, and lets everything follow from it. */
export const noticeBranches = async (world: World, repository: Repository, by: Account): Promise<void> => {
  const before = repository.branches;
  const after = await readBranches(world.git, repository.folder);
  repository.branches = after;
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const moves = names
    .map((branch) => ({ branch, before: before.get(branch) ?? null, after: after.get(branch) ?? null, by }))
    .filter((move) => move.before !== move.after);
  if (moves.length > 0) repository.pushedAtMs = world.clock.now();
  for (const move of moves) {
    await tellMove(world, repository, move);
    await requestSuites(world, repository, move);
    await movePulls(world, repository, move);
  }
};

export interface PushedFiles {
  readonly branch: string;
  readonly files: Readonly<Record<string, string | null>>;
  readonly message: string;
  readonly by: Account;
  /** Where a new branch begins, or where the commit goes instead of on the branch. */
  readonly from: string | null;
  readonly atMs: number | null;
}

/** Commits files to a branch and pushes it. */
export const pushFiles = async (
  world: World,
  repository: Repository,
  pushed: PushedFiles,
): Promise<string> => {
  const { branch, files, message, by } = pushed;
  const tip = repository.branches.get(branch);
  const from = pushed.from === null ? tip : (repository.branches.get(pushed.from) ?? pushed.from);
  const parent = from ?? repository.branches.get(repository.defaultBranch) ?? null;
  const sha = await writeCommit(world.git, repository.folder, {
    branch,
    files,
    message: `${message}\n`,
    author: { name: by.name ?? by.login, email: emailOf(by) },
    atMs: pushed.atMs ?? world.clock.now(),
    parent,
  });
  await noticeBranches(world, repository, by);
  return sha;
};

export const deleteBranch = async (
  world: World,
  repository: Repository,
  { branch, by }: { readonly branch: string; readonly by: Account },
): Promise<void> => {
  if (!repository.branches.has(branch)) throw new Refusal(422, `there is no branch ${branch}`);
  await moveRef(world.git, repository.folder, `refs/heads/${branch}`, null);
  await noticeBranches(world, repository, by);
};
