// An app on a real database with one of everything, for the tests of the routes.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import type { Repository } from '@eka-ci/protocol/repository';
import type { FastifyInstance } from 'fastify';
import { createAuth } from '../../auth/auth.ts';
import { Secret } from '../../config/secret.ts';
import type { BuildTransition, Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath, step } from '../../database/testing/samples.ts';
import type { ForgeSignIn } from '../../forge/forge-sign-in.ts';
import { createGitCli } from '../../git/git-cli/git-cli.ts';
import type { BuilderFact } from '../../pipeline/builds/builder-facts.ts';
import { createRunningFacts } from '../../pipeline/builds/running-facts.ts';
import { createSharedGraph } from '../../pipeline/graph/shared-graph.ts';
import { createLiveFeed } from '../../pipeline/live/live-feed.ts';
import type { Visible } from '../../pipeline/privacy/visibility.ts';
import { createSubmitReview } from '../../pipeline/submit-review.ts';
import { createAccess } from '../access.ts';
import { createHttpApp } from '../app.ts';
import type { RequestFault } from '../errors.ts';
import { createGraphMetrics } from '../graph-metrics.ts';
import type { HttpDeps } from '../http-options.ts';
import { createLiveConnections } from '../live/live-connections.ts';
import type { OperatorActions } from '../operator-actions.ts';
import { createReaders, type Readers } from '../reading/reader.ts';
import type { HttpUpkeep } from '../upkeep-facts.ts';
import { createWorkMetrics } from '../work-metrics.ts';

export const metricsToken = 'metrics-token-of-the-test';
export const logText = 'configuring\n\u001b[31mfatal\u001b[0m: <script>alert(1)</script>\nlast line\n';
export const head = 'a'.repeat(40) as CommitSha;
export const base = 'b'.repeat(40) as CommitSha;

export interface Served {
  readonly app: FastifyInstance;
  readonly deps: HttpDeps;
  readonly database: Database;
  readonly folder: string;
  readonly logsDir: string;
  readonly faults: RequestFault[];
  /** Failed at its second attempt, of which `logText` is the log; needs `input`, and `dependent` needs it. */
  readonly failed: DrvPath;
  readonly input: DrvPath;
  readonly dependent: DrvPath;
  /** `hash-name.drv` of `failed`. */
  readonly drv: string;
  setReady(ready: boolean): void;
  close(): Promise<void>;
}

export const newChange = (id: string, more: Partial<StoredChange> = {}): StoredChange => {
  const summary = exampleSummary();
  return {
    id,
    kind: 'branch',
    repository: 'example/packages',
    number: 7,
    branch: 'update-openssl',
    baseBranch: null,
    base,
    head,
    judgedTree: 'c'.repeat(40) as TreeSha,
    title: 'openssl: 3.5 -> 3.6',
    state: 'judged',
    createdAtMs: 1000,
    updatedAtMs: 2000,
    conclusion: summary.conclusion,
    fault: null,
    summaryJson: JSON.stringify(summary),
    markdown: '# As the forge has it\n',
    requestJson: null,
    faults: 0,
    retryAtMs: null,
    approved: false,
    ...more,
  };
};

/** As a test asks: as often as it likes. */
export const httpOptions: HttpDeps['options'] = {
  metricsToken: new Secret(metricsToken),
  behindTls: false,
  trustedProxies: [],
  origins: { allowed: [], own: null },
  rateLimits: { readsPerMinute: 1e9, writesPerMinute: 1e9, signInsPerMinute: 1e9 },
};

export interface ServeOptions extends Omit<Partial<HttpDeps>, 'rights'> {
  /** What is left out nobody has. */
  readonly rights?: Partial<HttpDeps['rights']>;
  /** @default everybody may see everything */
  readonly visible?: Visible;
  /** People sign in there; without it nobody can. */
  readonly forge?: ForgeSignIn;
  /** `forge:login` */
  readonly admins?: readonly string[];
}

export const sessionSecret = new Secret('session-secret-of-the-test');

const openAccess = (
  database: Database,
  { rights: some, options = httpOptions, ...more }: ServeOptions,
): Pick<HttpDeps, 'auth' | 'access' | 'rights'> => {
  const clock = more.clock ?? (() => 61_000);
  const rights = { ...noRights, ...some };
  const { forge = null, admins = [] } = more;
  const auth =
    more.auth ?? createAuth({ users: database.users, forge, secret: sessionSecret, admins, clock });
  const { origins, behindTls } = options;
  const limits = { tokenFailuresPerMinute: 5, writesPerMinute: 1e9 };
  const readers = createReaders({ visible: more.visible ?? nothingHidden, rights, clock });
  const access = createAccess({ auth, rights, readers, origins, behindTls, ...limits, clock });
  return { auth, rights, access };
};

const nothingHidden: Visible = {
  ownerOf: () => null,
  ownersOf: () => null,
  owners: () => [],
  aside: () => [],
  hidesDerivations: () => false,
};

export const noRights: HttpDeps['rights'] = {
  mayWrite: () => Promise.resolve(false),
  mayRead: () => Promise.resolve(false),
  epoch: () => 0,
  maintains: () => Promise.resolve(false),
  maintainsAll: () => Promise.resolve(false),
  packagesWithout: () => Promise.resolve(null),
};

export const seesEverything: Readers = createReaders({
  visible: nothingHidden,
  rights: noRights,
  clock: () => 0,
});

const noPushes: HttpDeps['pushes'] = {
  queues: async () => [],
  pushNow: async () => null,
};

const noMerges: HttpDeps['merges'] = {
  request: () => Promise.resolve({ kind: 'not-open' }),
  withdraw: () => Promise.resolve('nothing-pending'),
};

/** Nothing runs here that could be stopped or woken. */
const noActions: OperatorActions = {
  stopJudging: () => {},
  wake: () => {},
  orderBuild: () => Promise.resolve({ kind: 'not-in-store' }),
  findOrder: () => null,
  audit: () => {},
};

/** Two attempts, the first interrupted. */
const attemptsOf = (drv: DrvPath, logFile: string): BuildTransition[] => [
  step(drv, null, 'queued'),
  step(drv, 'queued', 'buildable'),
  step(drv, 'buildable', 'building', { atMs: 2000 }),
  step(drv, 'building', 'interrupted', { atMs: 3000, cause: 'timeout', message: 'silent' }),
  step(drv, 'interrupted', 'buildable', { attempt: 2, atMs: 3000 }),
  step(drv, 'buildable', 'building', { attempt: 2, atMs: 4000 }),
  step(drv, 'building', 'failed', {
    attempt: 2,
    atMs: 5000,
    cause: 'builder-exit',
    message: 'exit 2',
    logFile,
  }),
];

/** The repository of the changes, as its forge shows it. */
const repositoryFacts: Repository = {
  forge: 'github',
  name: 'example/packages',
  baseBranch: 'main',
  capabilities: { comments: false, statuses: false },
  fetching: false,
  lastSeenAtMs: 900,
  failures: 0,
  fault: null,
  warnings: [],
};

/** One that is up, and one that is not. */
const builderFacts: readonly BuilderFact[] = [
  {
    name: 'local',
    isLocal: true,
    systems: ['x86_64-linux', 'builtin'],
    features: ['kvm'],
    mandatoryFeatures: [],
    speed: 1,
    slots: { build: 2, fixedOutput: 4 },
    outage: null,
  },
  {
    name: 'ssh://far.example.org',
    isLocal: false,
    systems: ['aarch64-linux'],
    features: ['big-parallel'],
    mandatoryFeatures: ['big-parallel'],
    speed: 2.5,
    slots: { build: 8, fixedOutput: 0 },
    outage: { reason: 'it does not answer: timed out', retryAtMs: 90_000 },
  },
];

/** Upkeep with nothing to say; copies of the database are real. */
const quietUpkeep = (database: Database, folder: string): HttpUpkeep => {
  let draining = false;
  return {
    warnings: () => Promise.resolve([]),
    readDisks: () => Promise.resolve([{ name: 'the database', freeBytes: 1024 }]),
    removed: () => null,
    logDays: 90,
    drain: {
      isDraining: () => draining,
      isDry: () => true,
      start: () => {
        draining = true;
      },
      undo: () => {
        draining = false;
      },
    },
    backup: { folder, write: (path) => database.backup(path) },
  };
};

/** Opens the log of `drv` to the API under whatever name. */
export const recordLog = async (served: Served, logFile: string): Promise<string> => {
  const path = newPath('logged-1.0');
  await served.database.derivations.save([newNode([], { path })]);
  const [queued, buildable, building] = attemptsOf(path, '').slice(0, 3);
  const end = step(path, 'building', 'succeeded', { cause: 'built', logFile });
  const steps = [queued, buildable, building, end].filter((one) => one !== undefined);
  await served.database.builds.recordTransitions(steps);
  return path.slice(path.lastIndexOf('/') + 1);
};

export const hookLogText = 'told everybody\n';

/** `notify` has run after the second attempt, and waits to run after the third. */
const runHook = async (
  database: Database,
  { drv, logsDir }: { readonly drv: DrvPath; readonly logsDir: string },
): Promise<void> => {
  const cause = { repository: 'example/packages', branch: 'pull/7', job: 'packages', commitSha: head };
  const run = { hook: 'notify', drv, buildState: 'failed', changeId: 'judged', ...cause } as const;
  await database.hookRuns.want([{ ...run, attempt: 2 }], 6000);
  const [due] = await database.hookRuns.due(6000, 1);
  const id = due?.id ?? 0;
  await database.hookRuns.begin(id, { logFile: 'ab/curl.hook-notify.2.log', atMs: 6100 });
  await database.hookRuns.end(id, { state: 'failed', exitStatus: 3, message: null, atMs: 6200 });
  await database.hookRuns.want([{ ...run, attempt: 3 }], 6300);
  await writeFile(join(logsDir, 'ab/curl.hook-notify.2.log'), hookLogText);
};

export const checkId = '01890a5d-ac96-474b-bcce-b302099a8058';
export const checkText = 'looking\n\u001b[31mbad\u001b[0m: <b>format</b>\n';

/** `format` of the change `judged` has failed, by itself or as another change's. */
export const runCheck = async ({
  database,
  logsDir,
}: Pick<Served, 'database' | 'logsDir'>): Promise<void> => {
  const run = { id: checkId, changeId: 'judged', name: 'format', question: 'q', queuedAtMs: 6000 };
  await database.checkRuns.queue(run);
  await database.checkRuns.start(checkId, 'ab/check.1.log');
  const ended = { outcome: 'failed', status: 3, reason: 'it ended with status 3', durationMs: 90 } as const;
  await database.checkRuns.end(checkId, { ...ended, outputTail: [], isAnswer: true, atMs: 6100 });
  await writeFile(join(logsDir, 'ab/check.1.log'), checkText);
};

export const serve = async (more: ServeOptions = {}): Promise<Served> => {
  const folder = await mkdtemp(join(tmpdir(), 'http-test-'));
  const logsDir = join(folder, 'logs');
  const database = await openWarmDatabase({ path: join(folder, 'test.db'), durability: 'process-death' });
  const [input, failed, dependent] = [newPath('zlib-1.3'), newPath('curl-8.1'), newPath('git-2.47')];
  await database.derivations.save([
    newNode([], { path: input }),
    newNode([{ path: input, outputs: ['out'] }], { path: failed }),
    newNode([{ path: failed, outputs: ['out'] }], { path: dependent }),
  ]);
  await database.builds.recordTransitions([
    ...attemptsOf(failed, 'ab/curl.2.log'),
    step(dependent, null, 'queued'),
  ]);
  await mkdir(dirname(join(logsDir, 'ab/curl.2.log')), { recursive: true });
  await writeFile(join(logsDir, 'ab/curl.2.log'), logText);
  await database.changes.save(newChange('judged'));
  await runHook(database, { drv: failed, logsDir });
  const graph = createSharedGraph({
    files: { storeDir: '/nix/store' },
    database,
    capacity: 4,
    clock: () => 61_000,
  });
  const faults: RequestFault[] = [];
  let ready = true;
  const deps: HttpDeps = {
    database,
    logsDir,
    storeDir: '/nix/store',
    version: '0.1.0',
    status: () => ({
      startedAtMs: 1000,
      nixVersion: '2.8.0',
      evaluator: 'nix-instantiate 2.8.0',
      systems: ['x86_64-linux'],
      draining: false,
      builds: { slots: 2 },
      changes: { queued: 1, judging: 1 },
    }),
    mayShow: () => true,
    isReady: () => ready,
    builds: {
      active: () => [{ drv: input, attempt: 1, builder: 'local', phase: 'buildPhase', startedAtMs: 900 }],
      queued: (start, limit) => [dependent].slice(start, start + limit),
      queuedCount: () => 1,
      why: (drv) => (drv === dependent ? 'git-2.47 waits for curl-8.1.' : null),
    },
    running: createRunningFacts(database),
    builders: { builders: () => builderFacts },
    progressOf: () => null,
    findRepository: ({ forge, owner, name }) => (forge === 'github' ? `${owner}/${name}` : null),
    repositories: () => [repositoryFacts],
    clock: () => 61_000,
    onFault: (fault) => faults.push(fault),
    submitReview: createSubmitReview({
      git: createGitCli({ env: process.env, listTimeoutMs: 10_000 }),
      database,
      clock: () => 61_000,
      onSubmitted: () => {},
    }),
    actions: noActions,
    merges: noMerges,
    pushes: noPushes,
    upkeep: quietUpkeep(database, folder),
    workMetrics: createWorkMetrics(() => 61_000),
    graphMetrics: createGraphMetrics(() => graph.counts()),
    builderCounts: () => [],
    storeLogs: { fetch: () => Promise.resolve(false) },
    live: createLiveConnections({ feed: createLiveFeed(), storeDir: '/nix/store' }),
    options: httpOptions,
    ...more,
    ...openAccess(database, more),
  };
  const app = await createHttpApp(deps);
  const close = async (): Promise<void> => {
    await app.close();
    await database.close();
    await rm(folder, { recursive: true, force: true });
  };
  const drv = failed.slice(failed.lastIndexOf('/') + 1);
  const setReady = (value: boolean): void => {
    ready = value;
  };
  return { app, deps, database, folder, logsDir, faults, failed, input, dependent, drv, setReady, close };
};
