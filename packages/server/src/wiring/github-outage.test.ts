// An hour in which GitHub answers nothing but 503, and what is shown there afterwards: its drivers, the intake, the
// queue and the outbox on real HTTP and real git, in a time that the test moves on.
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TreeSha } from '@eka-ci/core/ids';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Secret } from '../config/secret.ts';
import type { StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { createGithubForge } from '../forge/github/github-forge.ts';
import { createGithubHttp } from '../forge/github/github-http.ts';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import { removeTree } from '../lib/work-folder.ts';
import { createFreshness, type Freshness } from '../pipeline/freshness.ts';
import { hostedKey, writePayload } from '../pipeline/hosted/hosted-delivery.ts';
import { createHostedIntake } from '../pipeline/hosted-intake.ts';
import { type JudgeEvent, startJudgeLoop } from '../pipeline/judge-loop.ts';
import { startGateSender } from '../pipeline/report/gate-sender.ts';
import { createReporter } from '../pipeline/report/reporter.ts';

const secret = 'the secret of the hook';
const repository = 'octo/pkgs';
const minuteMs = 60_000;

const [read, write] = ['read', 'write'] as const;
const permissions = {
  ...{ checks: write, contents: write, pull_requests: write, issues: write },
  ...{ actions: read, members: read, metadata: read },
};

/** A clock that is moved on by hand, and those who wait for it. */
const createTime = () => {
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  let aheadMs = 0;
  const clock = (): number => Date.now() + aheadMs;
  const later = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atMs: clock() + delayMs, run };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  return {
    clock,
    later,
    aheadMs: () => aheadMs,
    sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        const end = later(ms, resolve);
        signal?.addEventListener('abort', () => {
          end();
          reject(new Error('the server ends'));
        });
      }),
    move(ms: number): void {
      aheadMs += ms;
      for (const timer of [...timers]) {
        if (timer.atMs > clock()) continue;
        timers.delete(timer);
        timer.run();
      }
    },
  };
};

const summaryJson = JSON.stringify({
  ...{ conclusion: 'success', headline: 'Nothing newly fails' },
  jobs: [{ job: 'packages', conclusion: 'success', headline: 'Well', notJudged: null, outcomes: [] }],
});

/** A server's hosted part, whose judgements find nothing wrong. */
const startParts = async (github: FakeGitHub, folder: string) => {
  const time = createTime();
  const { clock } = time;
  const app = await github.control.createApp({ slug: 'ci', owner: 'octo', permissions });
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  const git = createGitCli({ env: process.env });
  /** What is under way to the forge, and is to end before time passes. */
  let asking = 0;
  const counted = async <T>(call: Promise<T>): Promise<T> => {
    asking += 1;
    try {
      return await call;
    } finally {
      asking -= 1;
    }
  };
  const http = createGithubHttp({
    apiUrl: github.apiUrl,
    ...{ clock, sleep: time.sleep },
    fetch: (...request) => counted(globalThis.fetch(...request)),
  });
  const forge = createGithubForge({
    webUrl: github.url,
    ...{ http, clock, webhookSecrets: [new Secret(secret)], knowsGithubIds: true },
    apps: [
      {
        id: 'main',
        permissions: { allow_all: true, allowed_repos: [], allowed_branches: [] },
        loadCredentials: () =>
          Promise.resolve({ appId: String(app.id), privateKey: new Secret(app.privateKey) }),
      },
    ],
  });
  const faults: unknown[] = [];
  const judged: string[] = [];
  const onFault = (error: unknown): void => void faults.push(error);
  const reporter = createReporter({
    ...{ database, hosts: [forge.host], publicUrl: 'https://ci.example', clock, onFault },
    wake: () => sender.wake(),
  });
  const intake = createHostedIntake({
    ...{ database, forges: [forge], baselines: [], clock, later: time.later, random: () => 0.5 },
    onTaken({ queued, ended }) {
      loop.cancel(ended);
      reporter.queued(queued);
      reporter.ended(ended);
      loop.wake();
    },
    onEvent: (event) => {
      if (event.kind === 'given-up' || event.kind === 'unreadable') onFault(event);
    },
  });
  const sender = startGateSender({
    ...{ database, forges: [forge], owner: 'server', clock, random: () => 0.5, idleMs: 20 },
    onEvent: (event) => {
      if (event.kind === 'given-up') onFault(event.error);
    },
  });
  const freshness: Freshness = createFreshness({
    ...{ repositories: [], hosted: [forge], mirrorsDir: folder, database, clock, onFault },
    git: { ...git, openMirror: (...mirror) => counted(git.openMirror(...mirror)) },
    wake: () => loop.wake(),
    onRequeued: () => {},
  });
  const loop = startJudgeLoop({
    ...{ database, owner: 'server', clock, idleMs: 20, onHold: () => freshness.onHold() },
    prepare: (change, signal) => freshness.prepare(change, signal),
    judge: ({ kind, head, base, title }: StoredChange) => {
      if (kind === 'offered') judged.push(head);
      const tree = 'd'.repeat(40) as TreeSha;
      const result = {
        base,
        judgedTree: tree,
        title,
        conclusion: 'success',
        summaryJson,
        markdown: '# Well',
      };
      return Promise.resolve({ state: 'judged', ...result });
    },
    onEvent(event: JudgeEvent) {
      reporter.judging(event);
      freshness.onJudgeEvent(event);
    },
  });
  const receiver = createServer((request, response) => {
    const take = async (): Promise<void> => {
      const body = await buffer(request);
      const reading = forge.read({ headers: request.headers, body });
      response.writeHead(reading.kind === 'refused' ? reading.status : 202).end();
      if (reading.kind !== 'event' || reading.event.kind === 'ping') return;
      const delivery = {
        key: hostedKey(forge.host, reading.id),
        payload: writePayload(reading.event),
        receivedAtMs: clock(),
      };
      await database.deliveries.receive([delivery]);
      intake.take(delivery);
    };
    take().catch(onFault);
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  const hook = { url: `http://127.0.0.1:${port}/github/webhook`, secret };
  await github.control.setWebhook({ app: app.id, ...hook });
  return {
    ...{ time, database, intake, loop, faults, judged, app },
    /** As long as whatever is under way needs; then so much time passes at once. */
    async pass(ms: number): Promise<void> {
      do await sleep(10);
      while (asking > 0);
      time.move(ms);
      await github.control.setClock({ skewMs: time.aheadMs() });
    },
    async stop(): Promise<void> {
      receiver.close();
      await Promise.all([intake.stop(), loop.stop()]);
      await reporter.settled();
      await sender.stop();
      await freshness.stop();
      await database.close();
    },
  };
};

let github: FakeGitHub;
let folder: string;
let parts: Awaited<ReturnType<typeof startParts>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ekaci-outage-'));
  github = await startFakeGitHub();
  const { control } = github;
  await control.createUser({ login: 'alice' });
  await control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
  await control.createRepository({ owner: 'octo', name: 'pkgs', files: { 'default.nix': '{ }' } });
  parts = await startParts(github, folder);
  await control.install({ app: parts.app.id, account: 'octo' });
  await parts.intake.start();
});
afterAll(async () => {
  await parts.stop();
  await github.stop();
  await removeTree(folder);
});

const shownOf = async (sha: string): Promise<string[]> => {
  const runs = await github.control.readChecks({ repository, sha });
  return runs.map(({ name, status, conclusion }) => `${name}: ${conclusion ?? status}`).toSorted();
};
const well = ['EkaCI change summary: neutral', 'EkaCI: packages: success', 'EkaCI: success'];

const passUntil = async (isTrue: () => Promise<boolean>, stepMs: number): Promise<void> => {
  while (!(await isTrue())) await parts.pass(stepMs);
};

it('waits for a GitHub that is away for an hour, and then shows everything once', {
  timeout: 60_000,
}, async () => {
  const { control } = github;
  const push = async (branch: string, text: string) =>
    (await control.push({ repository, branch, files: { [branch]: text }, from: 'main', by: 'alice' })).sha;
  const isWell = async (sha: string) => JSON.stringify(await shownOf(sha)) === JSON.stringify(well);
  const before = await push('before', 'alone');
  await control.openPull({ repository, head: 'before', by: 'alice' });
  await passUntil(() => isWell(before), 1000);
  // Taken in, and not fetched before nobody gives access to it any more.
  parts.loop.pause();
  const known = await push('known', 'in time');
  await control.openPull({ repository, head: 'known', by: 'alice' });
  await passUntil(async () => (await shownOf(known)).length > 0, 1000);

  await control.addFault({ times: 1_000_000, fault: { kind: 'status', status: 503 } });
  const begunAtMs = parts.time.clock();
  const heads: string[] = [known, await push('before', 'moved')];
  for (const branch of ['one', 'two', 'three']) {
    heads.push(await push(branch, 'new'));
    await control.openPull({ repository, head: branch, by: 'alice' });
  }
  const gone = await push('gone', 'not for long');
  const { number } = await control.openPull({ repository, head: 'gone', by: 'alice' });
  await control.closePull({ repository, number, by: 'alice' });
  const replaced = await push('four', 'not for long either');
  await control.openPull({ repository, head: 'four', by: 'alice' });
  await parts.pass(20 * minuteMs);
  parts.loop.resume();
  for (let at = 0; at < 20; at++) await parts.pass(3000);
  heads.push(await push('four', 'for good'));
  await control.settle({});
  while (parts.time.clock() - begunAtMs < 60 * minuteMs) await parts.pass(minuteMs);
  expect(parts.judged).toEqual([before]);

  await control.clearFaults({});
  await passUntil(async () => (await Promise.all(heads.map(isWell))).every(Boolean), 15_000);
  // What was on its way twice would come now.
  for (let at = 0; at < 15; at++) await parts.pass(2 * minuteMs);
  for (const sha of heads) expect(await shownOf(sha)).toEqual(well);
  expect([await shownOf(gone), await shownOf(replaced)]).toEqual([[], []]);
  expect(parts.judged.toSorted()).toEqual([before, ...heads].toSorted());
  expect(await parts.database.deliveries.unfinished(100)).toEqual([]);
  expect(parts.faults).toEqual([]);
  expect(await control.readViolations({})).toEqual([]);
});
