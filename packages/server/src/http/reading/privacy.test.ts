// A private repository is served like any other, and nobody hears a word of it who may not read it at its forge: every
// route of the document is asked, and whatever a connection is told.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newNode, newPath, step } from '../../database/testing/samples.ts';
import { createFakeSignIn } from '../../forge/forge-sign-in.fake.ts';
import { createLiveFeed, type LiveFeed } from '../../pipeline/live/live-feed.ts';
import { createVisibility, type Visibility } from '../../pipeline/privacy/visibility.ts';
import { findServedName } from '../../pipeline/repository-address.ts';
import { createHttpApp } from '../app.ts';
import { type Listening, listen } from '../listen.ts';
import { createLiveConnections } from '../live/live-connections.ts';
import { createBrowser } from '../testing/browser.ts';
import { type DocumentedApi, type DocumentedOperation, readApi } from '../testing/documented.ts';
import { type LiveClient, ofType, openLiveClient } from '../testing/live-client.ts';
import { metricsToken, newChange, type Served, serve } from '../testing/served.ts';

/** Of everything that is of the private repository, and of nothing else. */
const canary = 'canary';
const host = 'github.com';
const kept = `${host}/octo/${canary}`;
/** Its name before: so that the word is in no address that is asked for. */
const formerName = 'former';
const secretSha = 'd'.repeat(40) as CommitSha;
const secretDrv = newPath(`${canary}-1.0`);
const secretInput = newPath(`${canary}-source-1.0`);
const secretId = '01890a5d-ac96-774b-bcce-b302099a8057';
const absentId = secretId.replace('0', '1');
const [reader, stranger, admin] = [
  { id: 1, login: 'reader' },
  { id: 2, login: 'stranger' },
  { id: 3, login: 'admin' },
];

/** How private things show in an operation that reads. An operation that is not here is to be thought about. */
const kinds: Readonly<Record<string, 'of-one' | 'of-many' | 'figures' | 'open' | 'own'>> = {
  getChange: 'of-one',
  getGithubChange: 'of-one',
  readMergeEligibility: 'of-one',
  getChangeSummary: 'of-one',
  getChangeSummaryMarkdown: 'of-one',
  getPackageChanges: 'of-one',
  getRebuildImpact: 'of-one',
  listCommitJobs: 'of-one',
  listCheckRuns: 'of-one',
  getJob: 'of-one',
  listJobDerivations: 'of-one',
  getRepository: 'of-one',
  listCommits: 'of-one',
  getDerivation: 'of-one',
  listDependencies: 'of-one',
  listDependents: 'of-one',
  getBuildHistory: 'of-one',
  explainDerivation: 'of-one',
  getLog: 'of-one',
  searchLog: 'of-one',
  getOrderedBuild: 'of-one',
  getCheck: 'of-one',
  getCheckLog: 'of-one',
  listHookRuns: 'of-one',
  getHookLog: 'of-one',
  listChanges: 'of-many',
  listActiveChanges: 'of-many',
  listRepositories: 'of-many',
  listActiveBuilds: 'of-many',
  listQueuedBuilds: 'of-many',
  getStatus: 'of-many',
  getReview: 'open',
  getBadge: 'figures',
  listBuilders: 'figures',
  getHealth: 'open',
  getReadiness: 'open',
  getDrain: 'open',
  getOpenApi: 'open',
  getDocs: 'open',
  getMe: 'open',
  getMetrics: 'open',
  getMetricsForPrometheus: 'open',
  signIn: 'open',
  finishSignIn: 'open',
  listApiTokens: 'own',
  listApprovedUsers: 'own',
  listUsers: 'own',
  listMaintainedPaths: 'own',
  listOwnMaintainerRequests: 'own',
  listMaintainerRequests: 'own',
  listAttrMaintainers: 'own',
};

/** Of answers that say nothing of the repository but what its own address does. */
const withoutWord = new Set(['readMergeEligibility', 'listCheckRuns']);

type Samples = Readonly<Record<string, string>>;
const nameOf = (drv: DrvPath): string => drv.slice('/nix/store/'.length);

/** Of what is private. */
const hidden: Samples = {
  ...{ drv: nameOf(secretDrv), sha: secretSha, forge: 'github', owner: 'octo', repo: formerName },
  ...{ number: '7', file: `${formerName}.svg`, q: canary, attr: 'a', hook: 'notify' },
  ...{ 'getJob.id': `${secretId}.0`, 'listJobDerivations.id': `${secretId}.0`, 'getReview.id': secretId },
  ...{ 'getOrderedBuild.id': secretId, 'getCheck.id': secretId, 'getCheckLog.id': secretId },
};
/** Of the same forms, and of nothing. */
const absent: Samples = {
  ...{
    drv: nameOf(newPath('nothing-1.0')),
    sha: 'e'.repeat(40),
    forge: 'github',
    owner: 'octo',
    repo: 'nothing',
  },
  ...{ number: '7', file: 'nothing.svg', q: canary, attr: 'a', hook: 'notify' },
  ...{ 'getJob.id': `${'0'.repeat(8)}.0`, 'listJobDerivations.id': `${'0'.repeat(8)}.0` },
  ...Object.fromEntries(
    ['getReview', 'getOrderedBuild', 'getCheck', 'getCheckLog'].map((one) => [`${one}.id`, absentId]),
  ),
};

const urlOf = (operation: DocumentedOperation, samples: Samples): string => {
  const sampleOf = (name: string): string =>
    encodeURIComponent(samples[`${operation.operationId}.${name}`] ?? samples[name] ?? 'none');
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => sampleOf(name));
  const required = operation.parameters?.filter((one) => one.in === 'query' && one.required === true) ?? [];
  const query = required.map(({ name }) => `${name}=${sampleOf(name)}`).join('&');
  return query === '' ? path : `${path}?${query}`;
};

let nowMs = 61_000;
let epoch = 0;
let readers: ReadonlySet<number> = new Set([reader?.id ?? 0]);
let isAway = false;
const forge = createFakeSignIn();
let visibility: Visibility;
let served: Served;
let app: FastifyInstance;
let api: DocumentedApi;
let feed: LiveFeed;
let listening: Listening;
let folder: string;
const clients: LiveClient[] = [];

class Away extends Error {
  readonly code = 'FORGE_AWAY';
  readonly mayPass = true;
  readonly retryAtMs = null;
}

const fillIn = async ({ database, logsDir, input }: Served): Promise<void> => {
  visibility = createVisibility(database);
  await visibility.load();
  const repository = { id: 9, name: `octo/${formerName}`, isPrivate: true, defaultBranch: 'main' };
  for (const name of [repository.name, `octo/${canary}`]) visibility.told(host, { ...repository, name });
  await visibility.write();
  const summaryJson = JSON.stringify(exampleSummary()).replaceAll(
    /nginx|openssl|(?<="job":")packages/g,
    canary,
  );
  const secret = {
    repository: kept,
    kind: 'offered',
    baseBranch: 'main',
    head: secretSha,
    summaryJson,
  } as const;
  const words = { title: `${canary} title`, branch: `pull/${canary}`, markdown: `# ${canary}` };
  await database.changes.save(newChange(secretId, { ...secret, ...words }));
  await database.changes.save(newChange('judged now', { ...secret, ...words, number: 8, state: 'judging' }));
  const wantedBy = visibility.wantedBy({ kind: 'offered', repository: kept });
  await wantedBy.beforeRows([secretDrv, secretInput].map((path) => ({ path, hasRow: false })));
  await database.derivations.save([
    newNode([], { path: secretInput }),
    newNode([{ path: secretInput, outputs: ['out'] }], { path: secretDrv }),
    newNode([{ path: secretDrv, outputs: ['out'] }], { path: newPath(`${canary}-user-1.0`) }),
  ]);
  const message = `the ${canary} is dead`;
  await database.builds.recordTransitions([
    step(secretDrv, null, 'queued'),
    step(secretDrv, 'queued', 'buildable'),
    step(secretDrv, 'buildable', 'building'),
    step(secretDrv, 'building', 'failed', { cause: 'builder-exit', logFile: 'ab/secret.log', message }),
  ]);
  const cause = { repository: kept, branch: canary, job: canary, commitSha: secretSha, changeId: secretId };
  const hook = { ...cause, hook: 'notify', attempt: 1, buildState: 'failed' } as const;
  // On behalf of it, after a build that everybody may see.
  await database.hookRuns.want(
    [
      { ...hook, drv: secretDrv },
      { ...hook, drv: input },
    ],
    1,
  );
  for (const { id } of await database.hookRuns.of(secretDrv)) {
    await database.hookRuns.begin(id, { logFile: 'ab/secret.log', atMs: 2 });
  }
  const check = { id: secretId, changeId: secretId, name: canary, question: 'q', queuedAtMs: 1 };
  await database.checkRuns.queue(check);
  await database.checkRuns.start(secretId, 'ab/secret.log');
  await mkdir(join(logsDir, 'ab'), { recursive: true });
  await writeFile(join(logsDir, 'ab/secret.log'), `${canary} sings\n`);
};

const addServer = async (): Promise<void> => {
  feed = createLiveFeed(() => nowMs);
  const live = createLiveConnections({ feed, storeDir: '/nix/store' });
  app = await createHttpApp({ ...served.deps, live });
  folder = await mkdtemp(join(tmpdir(), 'privacy-test-'));
  const socket = { path: join(folder, 'server.socket'), mode: 0o600 };
  const tcp = { address: '127.0.0.1', port: 0 };
  listening = await listen(app, { tcp, socket, closeTimeoutMs: 1000 }, live);
};

beforeAll(async () => {
  const secret = {
    ...{ forge: 'github', name: `octo/${canary}`, baseBranch: 'main', fetching: false, failures: 0 },
    ...{ capabilities: { comments: true, statuses: true }, lastSeenAtMs: null, fault: null, warnings: [] },
  };
  const open = { ...secret, name: 'octo/open', fault: `GITHUB_AWAY: asked for octo/${canary}` };
  const queue = {
    cache: 'c',
    waiting: 7,
    failing: 0,
    waitingSinceMs: 1,
    active: 1,
    fault: `${canary} is too large`,
  };
  served = await serve({
    forge,
    clock: () => nowMs,
    admins: ['github:admin'],
    visible: {
      ownerOf: (repository, repositoryId) => visibility.ownerOf(repository, repositoryId),
      aside: () => visibility.aside(),
      ownersOf: (drv) => visibility.ownersOf(drv),
      owners: () => visibility.owners(),
      hidesDerivations: () => visibility.hidesDerivations(),
    },
    rights: {
      epoch: () => epoch,
      async mayRead({ host: of, repository }, { id }) {
        if (isAway) throw new Away('away');
        return of === host && repository === `octo/${canary}` && readers.has(id);
      },
    },
    findRepository: (address) =>
      findServedName(address, {
        ...{ repositories: [], hosted: [{ kind: 'github', host }] },
        nameNow: (_, name) => (name === `octo/${formerName}` ? `octo/${canary}` : null),
      }),
    repositories: () => [secret, open],
    leftOut: () => [`nothing of octo/${canary} is left out`],
    pushes: { queues: () => Promise.resolve([queue]), pushNow: () => Promise.resolve(null) },
    builds: {
      active: () => [
        { drv: secretInput, attempt: 1, builder: 'local', phase: `${canary}Phase`, startedAtMs: 900 },
      ],
      queued: (start, limit) => [secretDrv].slice(start, start + limit),
      queuedCount: () => 1,
      why: (drv) => (drv === secretDrv ? `${canary} waits` : null),
    },
    actions: {
      ...{ stopJudging: () => {}, wake: () => {}, audit: () => {} },
      orderBuild: () => Promise.resolve({ kind: 'not-in-store' }),
      findOrder: (id) =>
        id === secretId
          ? { id, drvPath: secretDrv, force: false, rebuildAll: false, state: 'waiting', ending: null }
          : null,
    },
  });
  Object.assign(served.deps.upkeep, {
    warnings: () => Promise.resolve([`${host} cannot be asked: GET octo/${canary}`]),
  });
  await fillIn(served);
  await addServer();
  api = await readApi(z.record(z.string(), z.unknown()).parse((await app.inject('/v1/openapi.json')).json()));
});
afterEach(() => {
  for (const { webSocket } of clients.splice(0)) webSocket.terminate();
  readers = new Set([1]);
  isAway = false;
  epoch += 1;
});
afterAll(async () => {
  await listening.close();
  await rm(folder, { recursive: true, force: true });
  await served.close();
});

type Who = 'anonymous' | 'stranger' | 'reader' | 'admin' | 'socket';
const users = { reader, stranger, admin };

const cookieOf = async (who: Who): Promise<Record<string, string>> => {
  if (who === 'anonymous' || who === 'socket') return {};
  const browser = createBrowser(app);
  const user = users[who];
  if (user === undefined) throw new Error(`there is no ${who}`);
  await browser.signIn(forge, user);
  return { cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
};

interface Answer {
  readonly status: number;
  /** With its headers; without what is new in each. */
  readonly text: string;
}

const base = (): string => `http://127.0.0.1:${listening.tcp?.port ?? 0}`;

const get = async (url: string, headers: Record<string, string>): Promise<Answer> => {
  const answer = await fetch(base() + url, { headers, redirect: 'manual' });
  const told = [...answer.headers].filter(([name]) => !/^(date|x-ratelimit-.*|set-cookie|etag)$/.test(name));
  return { status: answer.status, text: `${JSON.stringify(told)}\n${await answer.text()}` };
};

const reads = (): readonly DocumentedOperation[] => api.operations.filter(({ method }) => method === 'get');
const kindOf = ({ operationId }: DocumentedOperation) => {
  const kind = kinds[operationId];
  if (kind === undefined) {
    throw new Error(`does ${operationId} show anything of a repository? Say in this test which kind it is`);
  }
  return kind;
};

describe('a private repository over HTTP', () => {
  it.each(['anonymous', 'stranger'] as const)('is not there for who is %s', async (who) => {
    const headers = await cookieOf(who);
    for (const operation of reads()) {
      const { operationId } = operation;
      const answer = await get(urlOf(operation, hidden), headers);
      expect(answer.text.toLowerCase(), operationId).not.toContain(canary);
      if (kindOf(operation) === 'own' || kindOf(operation) === 'open') continue;
      const nothing = await get(urlOf(operation, absent), headers);
      // But for the words of the address itself.
      const likened = answer.text.replaceAll(formerName, 'nothing').replace(/\["content-length","\d+"\]/, '');
      expect({ ...answer, text: likened }, operationId).toEqual({
        status: kindOf(operation) === 'of-one' && operationId !== 'listCommits' ? 404 : nothing.status,
        text: nothing.text.replace(/\["content-length","\d+"\]/, ''),
      });
    }
  });

  it.each(['reader', 'admin'] as const)('is there for the %s, and for no cache on the way', async (who) => {
    const headers = await cookieOf(who);
    for (const operation of reads()) {
      const { operationId } = operation;
      const kind = kindOf(operation);
      if (kind === 'own' || kind === 'open') continue;
      const answer = await get(urlOf(operation, hidden), headers);
      expect([answer.status, operationId]).toEqual([200, operationId]);
      expect(answer.text, operationId).toMatch(/"cache-control","(private.*|no-store)"/);
      if (kind !== 'figures' && !withoutWord.has(operationId)) {
        expect(answer.text.toLowerCase(), operationId).toContain(canary);
      }
    }
  });

  it('is not named where what everybody may see was done on its behalf', async () => {
    const path = `/v1/drvs/${nameOf(served.input)}/hooks`;
    for (const who of ['anonymous', 'stranger'] as const) {
      const answer = await get(path, await cookieOf(who));
      expect([answer.status, answer.text]).toEqual([200, expect.stringContaining('"runs":[]') as string]);
    }
    expect((await get(path, await cookieOf('reader'))).text).toContain(kept);
  });

  it('is in no metric, and for who came over the socket there', async () => {
    const metrics = await get('/v1/metrics', { authorization: `Bearer ${metricsToken}` });
    expect(metrics.status).toBe(200);
    expect(metrics.text).not.toContain(canary);
    expect(metrics.text).toMatch(/^eka_ci_builds_active 1$/m);
    const socket = await openLiveClient({ socketPath: join(folder, 'server.socket') });
    clients.push(socket);
    socket.send({ type: 'subscribe', resource: 'allbuilds' });
    await socket.wait(ofType('subscribed'));
    feed.changeMoved(newChange('x', { repository: kept }));
    await socket.wait(ofType('change_update'));
  });

  it('is counted for nobody else', async () => {
    const figures = async (who: Who) => {
      const headers = await cookieOf(who);
      const json = async (url: string): Promise<unknown> => (await fetch(base() + url, { headers })).json();
      return [
        z.object({ total: z.number() }).parse(await json('/v1/builds/queue')).total,
        z.object({ builds: z.object({ active: z.number() }) }).parse(await json('/v1/status')).builds.active,
        z.object({ changes: z.array(z.unknown()) }).parse(await json('/v1/prs?limit=1')).changes.length,
        z.object({ total: z.number() }).parse(await json('/v1/repositories')).total,
        z.object({ caches: z.array(z.unknown()) }).parse(await json('/v1/status')).caches.length,
      ];
    };
    expect(await figures('stranger')).toEqual([0, 0, 1, 1, 0]);
    expect(await figures('reader')).toEqual([1, 1, 1, 2, 1]);
    // Nor by the numbers of what everybody may see: each counts for itself.
    const History = z.object({ transitions: z.array(z.object({ sequence: z.number() })) });
    const history = History.parse(await (await fetch(`${base()}/v1/drvs/${served.drv}/history`)).json());
    expect(history.transitions.map(({ sequence }) => sequence)).toEqual(
      history.transitions.map((_, at) => at + 1),
    );
  });

  it('is gone with the right, and while the forge does not say', async () => {
    const headers = await cookieOf('reader');
    const status = async (): Promise<number> => (await get(`/v1/prs/octo/${canary}/7`, headers)).status;
    expect(await status()).toBe(200);
    readers = new Set();
    nowMs += 60_000;
    expect(await status()).toBe(404);
    readers = new Set([1]);
    expect(await status()).toBe(404);
    epoch += 1;
    expect(await status()).toBe(200);
    isAway = true;
    epoch += 1;
    expect(await status()).toBe(404);
  });

  it('cannot be written to by who may not read it, and says no more of it for that', async () => {
    const browser = createBrowser(app);
    await browser.signIn(forge, stranger ?? { id: 0, login: '' });
    for (const path of ['approve', 'cancel', 'rejudge', 'rebuild']) {
      const answer = await browser.send('POST', `/v1/prs/github/octo/${formerName}/7/${path}`, { body: {} });
      const other = await browser.send('POST', `/v1/prs/github/octo/nothing/7/${path}`, { body: {} });
      expect(answer.body, path).not.toContain(canary);
      expect([answer.statusCode, answer.body.replaceAll(formerName, 'nothing')]).toEqual([
        other.statusCode,
        other.body,
      ]);
    }
  });
});

describe('a private repository over a live connection', () => {
  const open = async (who: Who): Promise<LiveClient> => {
    const client = await openLiveClient(
      { host: '127.0.0.1', port: listening.tcp?.port ?? 0 },
      await cookieOf(who),
    );
    clients.push(client);
    const topics = [
      { resource: 'allbuilds' },
      { resource: 'drv', id: secretDrv },
      { resource: 'commit', id: secretSha },
      { resource: 'change', id: secretId },
      { resource: 'job', id: `${secretId}.0` },
    ];
    for (const topic of topics) client.send({ type: 'subscribe', ...topic });
    await client.wait((event) => event.type === 'subscribed' && event.to.resource === 'job');
    return client;
  };
  let sequence = 0;
  const changeOf = (title: string, repository = kept) =>
    newChange(secretId, { repository, head: secretSha, title });
  /** Everything that can be told of it. */
  const tellAll = (): void => {
    const change = changeOf(`${canary} title`);
    feed.changeMoved(change);
    feed.jobsJudged(change, [{ job: canary, conclusion: 'success', headline: canary }]);
    sequence += 1;
    feed.recorded([{ ...step(secretDrv, 'buildable', 'building', { message: canary }), sequence }]);
    const judgement = feed.judging(change);
    judgement.progress({
      type: 'planned',
      job: canary,
      added: 1,
      removed: 0,
      changed: 0,
      unchanged: 0,
      rebuilds: 1,
    });
    judgement.end();
    feed.logs
      .open({ drv: secretDrv, attempt: 1 }, { written: () => Promise.resolve() })
      .line(`${canary} sings`);
  };
  /** What comes after all that. */
  const tellOpen = (title: string): void => feed.changeMoved(changeOf(title, `${host}/octo/open`));
  const heard = async (client: LiveClient, title: string) => {
    tellOpen(title);
    await client.wait((event) => event.type === 'change_update' && event.change.title === title);
    const types = client.events
      .filter((event) => JSON.stringify(event).includes(`"${canary}`))
      .map(({ type }) => type);
    return new Set(types);
  };
  const everything = new Set([
    ...['change_update', 'job_complete', 'build_state_change', 'change_progress', 'log_line'],
  ]);

  it('is not told of to strangers, and is to readers', async () => {
    const [nobody, other, one] = [await open('anonymous'), await open('stranger'), await open('reader')];
    tellAll();
    expect(await heard(one, 'after all')).toEqual(everything);
    for (const client of [nobody, other]) {
      await heard(client, 'after all that');
      const told = client.events.filter(({ type }) => type !== 'subscribed');
      expect(JSON.stringify(told)).not.toContain(canary);
      expect(new Set(told.map(({ type }) => type))).toEqual(new Set(['change_update']));
    }
  });

  it('is not told of any more when the right is gone, and again when it is back', async () => {
    const client = await open('reader');
    readers = new Set();
    epoch += 1;
    tellAll();
    expect(await heard(client, 'gone')).toEqual(new Set());
    readers = new Set([1]);
    epoch += 1;
    let rounds = 0;
    await expect
      .poll(async () => {
        tellAll();
        rounds += 1;
        return (await heard(client, `back ${rounds}`)).size;
      })
      .toBe(everything.size);
    // Nobody asks the forge again: what it said then is too old.
    nowMs += 60_000;
    const before = client.events.length;
    isAway = true;
    tellAll();
    tellOpen('old');
    await client.wait((event) => event.type === 'change_update' && event.change.title === 'old', before);
    expect(JSON.stringify(client.events.slice(before))).not.toContain(canary);
  });
});
