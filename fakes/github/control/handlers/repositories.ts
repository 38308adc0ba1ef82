// Commands about repositories.
import * as repositories from '../../actions/repositories.ts';
import type { Repository } from '../../state/entities.ts';
import { fullNameOf } from '../../state/lookup.ts';
import { mustGet, type World } from '../../state/world.ts';
import type { CommandHandlers, NewRepositoryFacts } from '../control.ts';
import type { Finding } from '../finding.ts';

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

const describeRepository = (world: World, repository: Repository): NewRepositoryFacts => ({
  id: repository.id,
  cloneUrl: `${world.urls.web}/${fullNameOf(world, repository)}.git`,
  folder: repository.folder,
  head: mustGet(repository.branches, repository.defaultBranch),
});

export const repositoryHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'configureRepository'
  | 'createRepository'
  | 'deleteRepository'
  | 'fork'
  | 'protect'
  | 'renameRepository'
  | 'setVisibility'
  | 'transferRepository'
  | 'unprotect'
> => ({
  createRepository: async ({ owner, ...given }) => {
    const made = { ...given, owner: find.account(owner), parent: null };
    return describeRepository(world, await repositories.createRepository(world, made));
  },
  fork: async ({ repository, owner, name }) => {
    const parent = find.repository(repository);
    const { defaultBranch, folder, private: isPrivate } = parent;
    const made = await repositories.createRepository(world, {
      owner: find.account(owner),
      name: name ?? parent.name,
      private: isPrivate,
      defaultBranch,
      files: {},
      copyOf: folder,
      parent,
    });
    return describeRepository(world, made);
  },
  configureRepository: ({ repository, mergeMethods, defaultBranch, memberRole }) => {
    const one = find.repository(repository);
    one.mergeMethods = mergeMethods ?? one.mergeMethods;
    one.defaultBranch = defaultBranch ?? one.defaultBranch;
    one.memberRole = memberRole ?? one.memberRole;
    return null;
  },
  protect: ({ repository, branch, ...protection }) => {
    find.repository(repository).protections.set(branch, protection);
    return null;
  },
  unprotect: ({ repository, branch }) => {
    find.repository(repository).protections.delete(branch);
    return null;
  },
  renameRepository: ({ repository, name, by }) => {
    repositories.renameRepository(world, find.repository(repository), { name, by: find.account(by) });
    return null;
  },
  transferRepository: ({ repository, owner, by }) => {
    const to = { owner: find.account(owner), by: find.account(by) };
    repositories.transferRepository(world, find.repository(repository), to);
    return null;
  },
  setVisibility: ({ repository, private: isPrivate, by }) => {
    const to = { isPrivate, by: find.account(by) };
    repositories.changeVisibility(world, find.repository(repository), to);
    return null;
  },
  deleteRepository: async ({ repository, by }) => {
    await repositories.deleteRepository(world, find.repository(repository), find.account(by));
    return null;
  },
});
