// What a test or a demo can do to the fake: the one list that both ends are typed by.
import * as z from 'zod';
import { roles } from '../state/entities.ts';

/** `owner/name`. */
const repository = z.string().regex(/^[^/]+\/[^/]+$/);
const login = z.string();
const number = z.int();
const files = z.record(z.string(), z.string());
const permissions = z.record(z.string(), z.enum(['read', 'write', 'admin']));
const pull = { repository, number };
const byUser = { by: login };

const fault = z.discriminatedUnion('kind', [
  z.object({
    kind: z.enum(['rateLimited', 'secondaryLimit']),
    retryAfterS: z.number().nullable().default(1),
    status: z.union([z.literal(403), z.literal(429)]).default(429),
  }),
  z.object({ kind: z.literal('status'), status: z.int().min(400).max(599), body: z.string().default('') }),
  z.object({ kind: z.literal('hang') }),
  z.object({ kind: z.literal('delay'), delayMs: z.number() }),
  z.object({ kind: z.literal('slowBody'), pieces: z.int().min(1), pauseMs: z.number() }),
  z.object({ kind: z.literal('cutBody') }),
]);

export const commands = {
  createUser: z.object({ login, name: z.string().optional(), email: z.string().optional() }),
  createOrganization: z.object({
    login,
    members: z.record(z.string(), z.enum(['admin', 'member'])).default({}),
  }),
  setMember: z.object({ organization: login, user: login, role: z.enum(['admin', 'member']).nullable() }),

  createRepository: z.object({
    owner: login,
    name: z.string(),
    private: z.boolean().default(false),
    defaultBranch: z.string().default('main'),
    files: files.default({ 'README.md': '# A repository\n' }),
    copyOf: z.string().nullable().default(null),
  }),
  fork: z.object({ repository, owner: login, name: z.string().optional() }),
  configureRepository: z.object({
    repository,
    mergeMethods: z.array(z.enum(['merge', 'squash', 'rebase'])).optional(),
    defaultBranch: z.string().optional(),
    memberRole: z.enum(roles).optional(),
  }),
  setRole: z.object({ repository, user: login, role: z.enum(roles).nullable() }),
  protect: z.object({
    repository,
    branch: z.string(),
    requiredChecks: z
      .array(z.object({ context: z.string(), appId: z.int().nullable().default(null) }))
      .default([]),
    requiredReviews: z.int().default(0),
    mergeQueue: z.boolean().default(false),
  }),
  unprotect: z.object({ repository, branch: z.string() }),
  renameRepository: z.object({ repository, name: z.string(), ...byUser }),
  transferRepository: z.object({ repository, owner: login, ...byUser }),
  setVisibility: z.object({ repository, private: z.boolean(), ...byUser }),
  deleteRepository: z.object({ repository, ...byUser }),

  createApp: z.object({
    slug: z.string(),
    owner: login,
    permissions: permissions.default({}),
    events: z.array(z.string()).default([]),
    callbackUrls: z.array(z.string()).default([]),
    hookUrl: z.string().nullable().default(null),
    hookSecret: z.string().nullable().default(null),
    hookContentType: z.enum(['json', 'form']).default('json'),
  }),
  setWebhook: z.object({ app: z.int(), url: z.string().nullable(), secret: z.string().nullable() }),
  ping: z.object({ app: z.int() }),
  install: z.object({
    app: z.int(),
    account: login,
    /** Null: all of the account's. */
    repositories: z.array(repository).nullable().default(null),
    permissions: permissions.optional(),
    /** @default an administrator of the organization, or the person themselves */
    by: login.optional(),
  }),
  removeInstallation: z.object({ installation: z.int(), ...byUser }),
  suspendInstallation: z.object({ installation: z.int(), suspended: z.boolean(), ...byUser }),
  acceptPermissions: z.object({ installation: z.int(), permissions, ...byUser }),
  changeInstalledRepositories: z.object({
    installation: z.int(),
    add: z.array(repository).default([]),
    remove: z.array(repository).default([]),
    ...byUser,
  }),

  push: z.object({
    repository,
    branch: z.string(),
    files: z.record(z.string(), z.string().nullable()),
    message: z.string().default('A change'),
    /** Branch or commit: where a new branch begins, or where the commit goes with force. */
    from: z.string().nullable().default(null),
    /** The commit's date. */
    atMs: z.number().nullable().default(null),
    ...byUser,
  }),
  deleteBranch: z.object({ repository, branch: z.string(), ...byUser }),
  noticeBranches: z.object({ repository, ...byUser }),

  openPull: z.object({
    repository,
    head: z.string(),
    /** The fork that holds the head. */
    from: repository.optional(),
    base: z.string().optional(),
    title: z.string().default('A change'),
    body: z.string().nullable().default(null),
    draft: z.boolean().default(false),
    ...byUser,
  }),
  openIssue: z.object({
    repository,
    title: z.string(),
    body: z.string().nullable().default(null),
    ...byUser,
  }),
  closePull: z.object({ ...pull, ...byUser }),
  reopenPull: z.object({ ...pull, ...byUser }),
  setDraft: z.object({ ...pull, draft: z.boolean(), ...byUser }),
  editPull: z.object({
    ...pull,
    title: z.string().optional(),
    body: z.string().optional(),
    base: z.string().optional(),
    ...byUser,
  }),
  mergePull: z.object({ ...pull, method: z.enum(['merge', 'squash', 'rebase']).default('merge'), ...byUser }),
  /** The next reads are told that GitHub does not know yet whether it can be merged. */
  forgetMergeability: z.object({ ...pull, reads: z.int() }),
  setConversation: z.object({ ...pull, locked: z.boolean().optional(), deleted: z.boolean().optional() }),
  comment: z.object({ ...pull, body: z.string(), ...byUser }),
  editComment: z.object({ comment: z.int(), body: z.string(), ...byUser }),
  deleteComment: z.object({ comment: z.int(), ...byUser }),
  review: z.object({
    ...pull,
    state: z.enum(['APPROVED', 'CHANGES_REQUESTED', 'COMMENTED']),
    body: z.string().default(''),
    ...byUser,
  }),
  dismissReview: z.object({ review: z.int(), ...byUser }),
  startWorkflowRun: z.object({ ...pull, waitsForApproval: z.boolean().default(false) }),
  approveWorkflowRun: z.object({ run: z.int(), ...byUser }),
  rerequestRun: z.object({ run: z.int(), ...byUser }),
  rerequestSuite: z.object({ suite: z.int(), ...byUser }),
  pressAction: z.object({ run: z.int(), identifier: z.string(), ...byUser }),
  enqueue: z.object({ ...pull, ...byUser }),
  dequeue: z.object({ ...pull, ...byUser }),

  addFault: z.object({
    method: z.enum(['GET', 'POST', 'PATCH', 'PUT', 'DELETE']).nullable().default(null),
    /** A regular expression on the path, without the query and the API's prefix. */
    path: z.string().default(''),
    times: z.int().default(1),
    takesEffect: z.boolean().default(false),
    fault,
  }),
  clearFaults: z.object({}),
  setWebhookMode: z.object({
    mode: z.enum(['deliver', 'double', 'drop', 'hold', 'lose', 'wrongSecret']),
  }),
  listHeld: z.object({}),
  /** In this order; null: all, in theirs. */
  releaseHeld: z.object({ ids: z.array(z.int()).nullable().default(null) }),
  settle: z.object({}),
  setClock: z.object({ skewMs: z.number() }),
  setRateLimit: z.object({ perHour: z.int().nullable() }),
  setSecondaryLimits: z.object({
    limits: z.object({ perMinute: z.int().default(80), perHour: z.int().default(500) }).nullable(),
  }),
  /** Whose browser the next sign-in is; `deny`: they press *Cancel*. */
  signIn: z.object({ user: login.nullable(), deny: z.boolean().default(false) }),

  readChecks: z.object({ repository, sha: z.string() }),
  readStatuses: z.object({ repository, sha: z.string() }),
  readComments: z.object({ ...pull }),
  readPull: z.object({ ...pull }),
  readBranches: z.object({ repository }),
  readQueue: z.object({ repository, branch: z.string() }),
  readDeliveries: z.object({}),
  readRequests: z.object({}),
  readViolations: z.object({}),
} as const;

export type CommandName = keyof typeof commands;
export type CommandInput<Name extends CommandName> = z.input<(typeof commands)[Name]>;
export type ParsedInput<Name extends CommandName> = z.output<(typeof commands)[Name]>;
