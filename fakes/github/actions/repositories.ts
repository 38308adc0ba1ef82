// Repositories come to be, get other names and owners, hide, and go.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { copyRepository, initRepository, readBranches, writeCommit } from '../git/repository-folder.ts';
import { renderOrganization, renderUser } from '../render/account.ts';
import { emailOf } from '../render/commit.ts';
import type { Account, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { findRepository, fullNameOf, ownerOf } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

export interface NewRepository {
  readonly owner: Account;
  readonly name: string;
  readonly private: boolean;
  readonly defaultBranch: string;
  /** What its first commit holds: path → text. */
  readonly files: Readonly<Record<string, string>>;
  /** A repository on this machine whose branches it gets; `files` does not count then. */
  readonly copyOf: string | null;
  readonly parent: Repository | null;
}

const checkName = (world: World, owner: Account, name: string): void => {
  if (findRepository(world, owner.login, name) !== null)
    throw new Refusal(422, `there is a repository ${owner.login}/${name} already`);
};

const fill = async (world: World, folder: string, given: NewRepository): Promise<void> => {
  if (given.copyOf !== null) return copyRepository(world.git, given.copyOf, folder);
  await initRepository(world.git, folder, given.defaultBranch);
  await writeCommit(world.git, folder, {
    branch: given.defaultBranch,
    files: given.files,
    message: 'Initial commit\n',
    author: { name: given.owner.name ?? given.owner.login, email: emailOf(given.owner) },
    atMs: world.clock.now(),
    parent: null,
  });
};

const tell = (
  world: World,
  repository: Repository,
  told: { readonly action: string; readonly by: Account; readonly body?: JsonObject },
): void =>
  world.publish({
    event: 'repository',
    action: told.action,
    sender: told.by,
    repository,
    body: told.body ?? {},
  });

export const createRepository = async (world: World, given: NewRepository): Promise<Repository> => {
  checkName(world, given.owner, given.name);
  const id = world.nextId();
  const folder = join(world.folder, `${id}.git`);
  await fill(world, folder, given);
  const repository: Repository = {
    id,
    name: given.name,
    ownerId: given.owner.id,
    private: given.private,
    folder,
    defaultBranch: given.defaultBranch,
    parentId: given.parent?.id ?? null,
    collaborators: new Map(),
    memberRole: 'read',
    mergeMethods: ['merge', 'squash', 'rebase'],
    protections: new Map(),
    branches: await readBranches(world.git, folder),
    nextNumber: 1,
    createdAtMs: world.clock.now(),
    pushedAtMs: world.clock.now(),
  };
  world.repositories.set(id, repository);
  world.formerNames.delete(`${given.owner.login}/${given.name}`.toLowerCase());
  tell(world, repository, { action: 'created', by: given.owner });
  return repository;
};

const rememberName = (world: World, repository: Repository): void => {
  world.formerNames.set(fullNameOf(world, repository).toLowerCase(), repository.id);
};

export const renameRepository = (
  world: World,
  repository: Repository,
  { name, by }: { readonly name: string; readonly by: Account },
): void => {
  checkName(world, ownerOf(world, repository), name);
  const from = repository.name;
  rememberName(world, repository);
  repository.name = name;
  tell(world, repository, { action: 'renamed', by, body: { changes: { repository: { name: { from } } } } });
};

export const transferRepository = (
  world: World,
  repository: Repository,
  { owner, by }: { readonly owner: Account; readonly by: Account },
): void => {
  checkName(world, owner, repository.name);
  const before = ownerOf(world, repository);
  rememberName(world, repository);
  repository.ownerId = owner.id;
  const from =
    before.kind === 'Organization'
      ? { organization: renderOrganization(world, before) }
      : { user: renderUser(world, before) };
  tell(world, repository, { action: 'transferred', by, body: { changes: { owner: { from } } } });
};

export const changeVisibility = (
  world: World,
  repository: Repository,
  { isPrivate, by }: { readonly isPrivate: boolean; readonly by: Account },
): void => {
  repository.private = isPrivate;
  tell(world, repository, { action: isPrivate ? 'privatized' : 'publicized', by });
};

export const deleteRepository = async (world: World, repository: Repository, by: Account): Promise<void> => {
  tell(world, repository, { action: 'deleted', by });
  world.repositories.delete(repository.id);
  for (const [name, id] of world.formerNames) if (id === repository.id) world.formerNames.delete(name);
  const kinds = [
    world.issues,
    world.comments,
    world.checkSuites,
    world.checkRuns,
    world.statuses,
    world.queue,
  ];
  for (const kind of [...kinds, world.workflowRuns])
    for (const [id, one] of kind) if (one.repositoryId === repository.id) kind.delete(id);
  for (const pull of world.pulls.values()) {
    if (pull.headRepositoryId === repository.id) pull.headRepositoryId = null;
    if (pull.repositoryId === repository.id) world.pulls.delete(pull.id);
  }
  await rm(repository.folder, { recursive: true, force: true });
};
