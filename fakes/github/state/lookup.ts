// Finding things by the names that people and URLs give them, and who may do what.
import type {
  Account,
  App,
  CheckRun,
  CheckSuite,
  Comment,
  Installation,
  Issue,
  Protection,
  Pull,
  QueueEntry,
  Repository,
  Review,
  Role,
} from './entities.ts';
import { roles } from './entities.ts';
import { mustGet, type World } from './world.ts';

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

export const findAccount = (world: World, login: string): Account | null =>
  [...world.accounts.values()].find((account) => same(account.login, login)) ?? null;

export const ownerOf = (world: World, repository: Repository): Account =>
  mustGet(world.accounts, repository.ownerId);

export const fullNameOf = (world: World, repository: Repository): string =>
  `${ownerOf(world, repository).login}/${repository.name}`;

/** By the name it has now. */
export const findRepository = (world: World, owner: string, name: string): Repository | null =>
  [...world.repositories.values()].find(
    (repository) => same(repository.name, name) && same(ownerOf(world, repository).login, owner),
  ) ?? null;

/** The repository that once had this name, where no other took it since. */
export const findMovedRepository = (world: World, owner: string, name: string): Repository | null => {
  const id = world.formerNames.get(`${owner}/${name}`.toLowerCase());
  return id === undefined ? null : (world.repositories.get(id) ?? null);
};

export const findPull = (world: World, repository: Repository, number: number): Pull | null =>
  [...world.pulls.values()].find((pull) => pull.repositoryId === repository.id && pull.number === number) ??
  null;

export const findConversation = (world: World, repository: Repository, number: number): Issue | Pull | null =>
  findPull(world, repository, number) ??
  [...world.issues.values()].find(
    (issue) => issue.repositoryId === repository.id && issue.number === number,
  ) ??
  null;

export const commentsOf = (world: World, conversation: Issue | Pull): Comment[] =>
  [...world.comments.values()].filter(
    ({ repositoryId, number }) =>
      repositoryId === conversation.repositoryId && number === conversation.number,
  );

export const reviewsOf = (world: World, pull: Pull): Review[] =>
  [...world.reviews.values()].filter(({ pullId }) => pullId === pull.id);

/** Open pull requests whose head is this commit, from forks too. */
export const pullsWithHead = (world: World, repository: Repository, sha: string): Pull[] =>
  [...world.pulls.values()].filter(
    (pull) => pull.repositoryId === repository.id && pull.headSha === sha && pull.state === 'open',
  );

export const suitesOf = (world: World, repository: Repository, sha: string): CheckSuite[] =>
  [...world.checkSuites.values()].filter(
    (suite) => suite.repositoryId === repository.id && suite.headSha === sha,
  );

export const runsOfSuite = (world: World, suite: CheckSuite): CheckRun[] =>
  [...world.checkRuns.values()].filter(({ suiteId }) => suiteId === suite.id);

/** Of each name and app only the newest: it supersedes those before. */
export const latestRuns = (runs: readonly CheckRun[]): CheckRun[] => [
  ...new Map(runs.map((run) => [`${run.suiteId}\n${run.name}`, run])).values(),
];

export const queueOf = (world: World, repository: Repository, branch: string): QueueEntry[] =>
  [...world.queue.values()].filter(
    (entry) => entry.repositoryId === repository.id && entry.baseRef === branch,
  );

export const protectionOf = (repository: Repository, branch: string): Protection | null =>
  repository.protections.get(branch) ?? null;

export const installationCovers = (installation: Installation, repository: Repository): boolean =>
  installation.accountId === repository.ownerId &&
  (installation.repositoryIds === null || installation.repositoryIds.has(repository.id));

export const installationOf = (world: World, app: App, repository: Repository): Installation | null =>
  [...world.installations.values()].find(
    (one) => one.appId === app.id && installationCovers(one, repository),
  ) ?? null;

const higher = (a: Role, b: Role): Role => (roles.indexOf(a) >= roles.indexOf(b) ? a : b);

export const isAtLeast = (role: Role, wanted: Role): boolean => higher(role, wanted) === role;

/** What an account may do in a repository, by all that it is. */
export const roleOf = (world: World, repository: Repository, account: Account): Role => {
  if (account.id === repository.ownerId) return 'admin';
  const membership = ownerOf(world, repository).members.get(account.id);
  if (membership === 'admin') return 'admin';
  const asMember = membership === 'member' ? repository.memberRole : 'none';
  const asAnybody = repository.private ? 'none' : 'read';
  return higher(higher(asMember, asAnybody), repository.collaborators.get(account.id) ?? 'none');
};

/** How GitHub words an author's standing. */
export const associationOf = (world: World, repository: Repository, account: Account): string => {
  if (account.id === repository.ownerId) return 'OWNER';
  if (ownerOf(world, repository).members.has(account.id)) return 'MEMBER';
  if (repository.collaborators.has(account.id)) return 'COLLABORATOR';
  const merged = [...world.pulls.values()].some(
    (pull) => pull.repositoryId === repository.id && pull.authorId === account.id && pull.merged !== null,
  );
  return merged ? 'CONTRIBUTOR' : 'NONE';
};
