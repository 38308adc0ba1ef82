// Each command, done.
import { randomBytes } from 'node:crypto';
import { createAccount } from '../actions/accounts.ts';
import * as apps from '../actions/apps.ts';
import * as checks from '../actions/checks.ts';
import * as conversations from '../actions/conversations.ts';
import { dequeuePull, enqueuePull } from '../actions/merge-queue.ts';
import { mergePull } from '../actions/merging.ts';
import * as pulls from '../actions/pulls.ts';
import * as pushes from '../actions/push.ts';
import * as repositories from '../actions/repositories.ts';
import { approveWorkflowRun, startWorkflowRun } from '../actions/workflow-runs.ts';
import type { Faults } from '../http/faults.ts';
import type { Journal } from '../http/journal.ts';
import type { RateLimits } from '../http/rate-limits.ts';
import type { Account, Repository } from '../state/entities.ts';
import { fullNameOf } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import type { OAuth } from '../web/oauth.ts';
import type { Outbox } from '../webhooks/outbox.ts';
import type { CommandHandlers, NewRepositoryFacts } from './commands.ts';
import { createFinding, type Finding } from './finding.ts';
import { createReading } from './reading.ts';

export interface ControlDeps {
  readonly world: World;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly limits: RateLimits;
  readonly outbox: Outbox;
  readonly oauth: OAuth;
}

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

const describeRepository = (world: World, repository: Repository): NewRepositoryFacts => ({
  id: repository.id,
  cloneUrl: `${world.urls.web}/${fullNameOf(world, repository)}.git`,
  folder: repository.folder,
  head: mustGet(repository.branches, repository.defaultBranch),
});

const peopleHandlers = (
  world: World,
  find: Finding,
): Some<'createOrganization' | 'createUser' | 'setMember' | 'setRole'> => ({
  createUser: (input) => {
    const user = createAccount(world, { ...input, kind: 'User' });
    const token = `ghp_${randomBytes(18).toString('hex')}`;
    world.tokens.set(token, { kind: 'user', userId: user.id, appId: null, expiresAtMs: null });
    return { id: user.id, login: user.login, token };
  },
  createOrganization: ({ login, members }) => {
    const people = Object.entries(members).map(([name, role]) => [find.account(name).id, role] as const);
    const organization = createAccount(world, { login, kind: 'Organization' });
    for (const [id, role] of people) organization.members.set(id, role);
    return { id: organization.id };
  },
  setMember: ({ organization, user, role }) => {
    const { members } = find.account(organization);
    if (role === null) members.delete(find.account(user).id);
    else members.set(find.account(user).id, role);
    return null;
  },
  setRole: ({ repository, user, role }) => {
    const { collaborators } = find.repository(repository);
    if (role === null) collaborators.delete(find.account(user).id);
    else collaborators.set(find.account(user).id, role);
    return null;
  },
});

const repositoryHandlers = (
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

const administratorOf = (world: World, account: Account): Account => {
  const [id] = [...account.members].find(([, role]) => role === 'admin') ?? [account.id];
  return mustGet(world.accounts, id);
};

const appHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'acceptPermissions'
  | 'changeInstalledRepositories'
  | 'createApp'
  | 'install'
  | 'ping'
  | 'removeInstallation'
  | 'setWebhook'
  | 'suspendInstallation'
> => ({
  createApp: ({ owner, ...given }) => {
    const { app, privateKey } = apps.registerApp(world, { ...given, owner: find.account(owner) });
    if (app.hookUrl !== null) apps.pingApp(world, app);
    return { id: app.id, clientId: app.clientId, clientSecret: app.clientSecret, privateKey };
  },
  setWebhook: ({ app, url, secret }) => {
    const one = find.app(app);
    one.hookUrl = url;
    one.hookSecret = secret;
    return null;
  },
  ping: ({ app }) => {
    apps.pingApp(world, find.app(app));
    return null;
  },
  install: (given) => {
    const account = find.account(given.account);
    const installation = apps.installApp(world, {
      app: find.app(given.app),
      account,
      by: given.by === undefined ? administratorOf(world, account) : find.account(given.by),
      repositories: given.repositories?.map(find.repository) ?? null,
      permissions: given.permissions,
    });
    return { id: installation.id };
  },
  removeInstallation: ({ installation, by }) => {
    apps.removeInstallation(world, find.installation(installation), find.account(by));
    return null;
  },
  suspendInstallation: ({ installation, suspended, by }) => {
    const how = { suspended, by: find.account(by) };
    apps.suspendInstallation(world, find.installation(installation), how);
    return null;
  },
  acceptPermissions: ({ installation, permissions, by }) => {
    const accepted = { permissions, by: find.account(by) };
    apps.acceptPermissions(world, find.installation(installation), accepted);
    return null;
  },
  changeInstalledRepositories: ({ installation, add, remove, by }) => {
    apps.changeInstalledRepositories(world, find.installation(installation), {
      by: find.account(by),
      add: add.map(find.repository),
      remove: remove.map(find.repository),
    });
    return null;
  },
});

const pullHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'closePull'
  | 'deleteBranch'
  | 'dequeue'
  | 'editPull'
  | 'enqueue'
  | 'forgetMergeability'
  | 'mergePull'
  | 'noticeBranches'
  | 'openIssue'
  | 'openPull'
  | 'push'
  | 'reopenPull'
  | 'setConversation'
  | 'setDraft'
> => ({
  push: async ({ repository, by, ...pushed }) => ({
    sha: await pushes.pushFiles(world, find.repository(repository), { ...pushed, by: find.account(by) }),
  }),
  deleteBranch: async ({ repository, branch, by }) => {
    await pushes.deleteBranch(world, find.repository(repository), { branch, by: find.account(by) });
    return null;
  },
  noticeBranches: async ({ repository, by }) => {
    await pushes.noticeBranches(world, find.repository(repository), find.account(by));
    return null;
  },
  openPull: async ({ by, from, base, ...given }) => {
    const repository = find.repository(given.repository);
    const { id, number, headSha } = await pulls.openPull(world, {
      ...given,
      repository,
      from: from === undefined ? repository : find.repository(from),
      base: base ?? repository.defaultBranch,
      author: find.account(by),
    });
    return { id, number, headSha };
  },
  openIssue: ({ by, repository, title, body }) => {
    const author = find.account(by);
    const issue = pulls.openIssue(world, { repository: find.repository(repository), title, body, author });
    return { number: issue.number };
  },
  closePull: async ({ by, ...named }) => {
    await pulls.closePull(world, find.pull(named), find.account(by));
    return null;
  },
  reopenPull: async ({ by, ...named }) => {
    await pulls.reopenPull(world, find.pull(named), find.account(by));
    return null;
  },
  setDraft: async ({ by, draft, ...named }) => {
    await pulls.setDraft(world, find.pull(named), { draft, by: find.account(by) });
    return null;
  },
  editPull: async ({ by, title, body, base, ...named }) => {
    await pulls.editPull(world, find.pull(named), { title, body, base, by: find.account(by) });
    return null;
  },
  mergePull: async ({ by, method, ...named }) => {
    const request = { method, sha: null, title: null, message: null, mayChangeWorkflows: true };
    return { sha: await mergePull(world, find.pull(named), { ...request, by: find.account(by) }) };
  },
  forgetMergeability: ({ reads, ...named }) => {
    find.pull(named).unknownReads = reads;
    return null;
  },
  setConversation: ({ locked, deleted, ...named }) => {
    const one = find.conversation(named);
    one.locked = locked ?? one.locked;
    one.deleted = deleted ?? one.deleted;
    return null;
  },
  enqueue: async ({ by, ...named }) => {
    const entry = await enqueuePull(world, find.pull(named), { by: find.account(by), expectedHead: null });
    return { groupRef: entry.groupRef, groupSha: entry.groupSha };
  },
  dequeue: async ({ by, ...named }) => {
    await dequeuePull(world, find.pull(named), find.account(by));
    return null;
  },
});

const talkHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'approveWorkflowRun'
  | 'comment'
  | 'deleteComment'
  | 'dismissReview'
  | 'editComment'
  | 'pressAction'
  | 'rerequestRun'
  | 'rerequestSuite'
  | 'review'
  | 'startWorkflowRun'
> => ({
  comment: ({ by, body, ...named }) => {
    const given = { by: find.account(by), app: null, body };
    return { id: conversations.addComment(world, find.conversation(named), given).id };
  },
  editComment: ({ comment, by, body }) => {
    const one = find.inMap(world.comments, comment, 'comment');
    conversations.editComment(world, one, { by: find.account(by), body });
    return null;
  },
  deleteComment: ({ comment, by }) => {
    conversations.deleteComment(world, find.inMap(world.comments, comment, 'comment'), find.account(by));
    return null;
  },
  review: ({ by, state, body, ...named }) => {
    const given = { by: find.account(by), state, body, sha: null };
    return { id: conversations.addReview(world, find.pull(named), given).id };
  },
  dismissReview: ({ review, by }) => {
    conversations.dismissReview(world, find.inMap(world.reviews, review, 'review'), find.account(by));
    return null;
  },
  startWorkflowRun: async ({ waitsForApproval, ...named }) => {
    const run = await startWorkflowRun(world, find.pull(named), { waits: waitsForApproval });
    return { id: run.id };
  },
  approveWorkflowRun: async ({ run, by }) => {
    const one = find.inMap(world.workflowRuns, run, 'workflow run');
    await approveWorkflowRun(world, one, find.account(by));
    return null;
  },
  rerequestRun: ({ run, by }) => {
    checks.rerequestRun(world, find.inMap(world.checkRuns, run, 'check run'), find.account(by));
    return null;
  },
  rerequestSuite: async ({ suite, by }) => {
    const one = find.inMap(world.checkSuites, suite, 'check suite');
    await checks.rerequestSuite(world, one, find.account(by));
    return null;
  },
  pressAction: ({ run, identifier, by }) => {
    const pressed = { identifier, by: find.account(by) };
    checks.pressAction(world, find.inMap(world.checkRuns, run, 'check run'), pressed);
    return null;
  },
});

const switchHandlers = (
  { world, faults, limits, outbox, oauth }: ControlDeps,
  find: Finding,
): Some<
  | 'addFault'
  | 'clearFaults'
  | 'listHeld'
  | 'releaseHeld'
  | 'setClock'
  | 'setRateLimit'
  | 'setSecondaryLimits'
  | 'setWebhookMode'
  | 'settle'
  | 'signIn'
> => ({
  addFault: (rule) => ({ id: faults.add(rule) }),
  clearFaults: () => {
    faults.clear();
    return null;
  },
  setWebhookMode: ({ mode }) => {
    outbox.setMode(mode);
    return null;
  },
  listHeld: () => outbox.listHeld(),
  releaseHeld: ({ ids }) => {
    outbox.release(ids);
    return null;
  },
  settle: async () => {
    await outbox.settled();
    return null;
  },
  setClock: ({ skewMs }) => {
    world.clock.setSkew(skewMs);
    return null;
  },
  setRateLimit: ({ perHour }) => {
    limits.setPrimary(perHour);
    return null;
  },
  setSecondaryLimits: ({ limits: wanted }) => {
    limits.setSecondary(wanted);
    return null;
  },
  signIn: ({ user, deny }) => {
    oauth.setBrowser(user === null ? null : find.account(user), deny);
    return null;
  },
});

export const createHandlers = (deps: ControlDeps): CommandHandlers => {
  const { world } = deps;
  const find = createFinding(world);
  return {
    ...peopleHandlers(world, find),
    ...repositoryHandlers(world, find),
    ...appHandlers(world, find),
    ...pullHandlers(world, find),
    ...talkHandlers(world, find),
    ...switchHandlers(deps, find),
    ...createReading(world, find, deps.journal),
  };
};
