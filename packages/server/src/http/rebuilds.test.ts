// What is tried again over HTTP: derivations, what a change or a job showed, everything; and what is said of it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noHindrances } from '@eka-ci/core/hindrances';
import type { DrvPath, TreeSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { Rebuild } from '@eka-ci/protocol/rebuild';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { newNode, step } from '../database/testing/samples.ts';
import { type Listening, listen } from './listen.ts';
import type { AuditedAction } from './operator-actions.ts';
import { send, type Target } from './testing/raw-request.ts';
import { newChange, type Served, serve } from './testing/served.ts';

let folder: string;
let served: Served;
let listening: Listening;
let socket: Target;
let told: (string | AuditedAction)[];

beforeEach(async () => {
  told = [];
  folder = await mkdtemp(join(tmpdir(), 'rebuilds-test-'));
  served = await serve({
    actions: {
      stopJudging: () => {},
      wake: () => void told.push('wake'),
      orderBuild: () => Promise.resolve({ kind: 'not-in-store' }),
      findOrder: () => null,
      audit: (action) => void told.push(action),
    },
  });
  const socketPath = join(folder, 'socket');
  listening = await listen(served.app, {
    tcp: { address: '127.0.0.1', port: 0 },
    socket: { path: socketPath, mode: 0o600, group: null },
    closeTimeoutMs: 1000,
  });
  socket = { socketPath };
});
afterEach(async () => {
  await listening.close();
  await served.close();
  await rm(folder, { recursive: true });
});

const post = async (path: string, body?: unknown, target: Target = socket) => {
  const more =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await send(target, { method: 'POST', path, ...more });
  return { status: answer.status, body: JSON.parse(answer.body) as unknown };
};
const refusal = (status: number, code: string) => ({ status, body: { error: { code } } });
const rebuilt = async (path: string, body?: unknown): Promise<Rebuild> => {
  const answer = await post(path, body);
  expect(answer).toMatchObject({ status: 200 });
  return Rebuild.parse(answer.body);
};

const failed = exampleSummary().jobs[0]?.outcomes.filter(({ kind }) => kind === 'newly-failing') ?? [];

/** A judged change with the example's summary, whose failures are on record. */
const saveJudged = async (id: string, number: number): Promise<DrvPath[]> => {
  const { derivations, builds, changes } = served.database;
  const drvs = failed.flatMap(({ drvPath }) => (drvPath === null ? [] : [drvPath as DrvPath]));
  await derivations.save(drvs.map((path) => newNode([], { path })));
  await builds.recordTransitions(drvs.map((drv) => step(drv, null, 'failed', { cause: 'builder-exit' })));
  await changes.save(newChange(id, { number, state: 'queued', conclusion: null, summaryJson: null }));
  await changes.claimNext({ owner: 'a', nowMs: 0, untilMs: 1 });
  await changes.finish(
    { id, owner: 'a' },
    {
      state: 'judged',
      base: null,
      judgedTree: 'd'.repeat(40) as TreeSha,
      title: id,
      conclusion: 'failure',
      summaryJson: JSON.stringify(exampleSummary()),
      markdown: '',
      hindrances: { ...noHindrances, failures: drvs },
    },
    2000,
  );
  return drvs;
};

it('is for operators, of what is there', async () => {
  const port: Target = { host: '127.0.0.1', port: listening.tcp?.port ?? 0 };
  const unknown = newNode().path.slice('/nix/store/'.length);
  const paths = [
    `/v1/drvs/${served.drv}/rebuild`,
    '/v1/jobs/judged.0/rebuild',
    '/v1/prs/github/example/packages/7/rebuild',
    '/v1/reviews/7c9e6679-7425-40de-944b-e07fc1f90ae7/rebuild',
    '/v1/admin/rebuild-all-failed',
  ];
  for (const path of paths) {
    expect(await post(path, {}, port)).toMatchObject(refusal(401, 'SIGN_IN_REQUIRED'));
  }
  expect(await post(`/v1/drvs/${unknown}/rebuild`)).toMatchObject(refusal(404, 'DRV_NOT_FOUND'));
  expect(await post('/v1/drvs/hello/rebuild')).toMatchObject(refusal(400, 'DRV_INVALID'));
  expect(await post('/v1/jobs/judged.9/rebuild', {})).toMatchObject(refusal(404, 'JUDGED_JOB_NOT_FOUND'));
  expect(await post('/v1/jobs/nobody.0/rebuild', {})).toMatchObject(refusal(404, 'JUDGED_JOB_NOT_FOUND'));
  expect(await post(paths[3] ?? '', {})).toMatchObject(refusal(404, 'REVIEW_NOT_FOUND'));
  const both = { attrs: ['hello'], failed: true };
  for (const body of [both, { attrs: [] }, { attrs: [1] }, { failed: false }, { more: 1 }, 'all']) {
    expect(await post('/v1/jobs/judged.0/rebuild', body)).toMatchObject(refusal(400, 'REQUEST_INVALID'));
  }
  expect(await post('/v1/jobs/judged.0/rebuild', { attrs: ['nothing.of.it'] })).toMatchObject(
    refusal(404, 'ATTRIBUTE_NOT_FOUND'),
  );
  await served.database.changes.save(newChange('young', { number: 70, state: 'queued', summaryJson: null }));
  expect(await post('/v1/prs/github/example/packages/70/rebuild', {})).toMatchObject(
    refusal(409, 'CHANGE_NOT_READY'),
  );
  expect(told).toEqual([]);
});

it('clears a derivation once, queues who showed it, and says so', async () => {
  const [drv = newNode().path] = await saveJudged('shows', 71);
  const path = `/v1/drvs/${drv.slice('/nix/store/'.length)}`;
  expect(await rebuilt(`${path}/rebuild`)).toMatchObject({
    cleared: 1,
    changes: [{ id: 'shows', state: 'queued', conclusion: 'failure' }],
  });
  const why = await send(socket, { path: `${path}/why` });
  expect(JSON.parse(why.body)).toMatchObject({
    state: 'failed',
    why: expect.stringMatching(/cleared/) as string,
  });
  expect(await rebuilt(`${path}/rebuild`)).toEqual({ cleared: 0, changes: [] });
  const audited = { who: 'operator', action: 'rebuild', subject: drv };
  expect(told).toEqual([{ ...audited, effective: true }, 'wake', { ...audited, effective: false }]);
});

it('clears what a change or one of its jobs showed, all of it or by attribute', async () => {
  const drvs = await saveJudged('shows', 72);
  expect(drvs.length).toBeGreaterThan(1);
  const attr = failed[0]?.attr ?? '';
  const changes = [{ id: 'shows', state: 'queued' }];
  expect(await rebuilt('/v1/jobs/shows.0/rebuild', { attrs: [attr] })).toMatchObject({ cleared: 1, changes });
  const more = drvs.length - 1;
  expect(await rebuilt('/v1/prs/github/example/packages/72/rebuild', {})).toMatchObject({
    cleared: more,
    changes,
  });
  expect(await rebuilt('/v1/jobs/shows.0/rebuild', { failed: true })).toMatchObject({ cleared: 0, changes });
});

it('clears everything, and what failed by it', async () => {
  const drvs = await saveJudged('shows', 73);
  const all = await rebuilt('/v1/admin/rebuild-all-failed');
  // With the one that the server began with.
  expect(all).toMatchObject({ cleared: drvs.length + 1, changes: [{ id: 'shows' }] });
  expect(await rebuilt('/v1/admin/rebuild-all-failed')).toMatchObject({ cleared: 0 });
});

it('is part of judging a change again by hand', async () => {
  const [drv = newNode().path] = await saveJudged('shows', 74);
  const path = '/v1/prs/github/example/packages/74/rejudge';
  expect(await post(path)).toMatchObject({ status: 200, body: { state: 'queued' } });
  expect((await served.database.builds.statesOf([drv])).get(drv)).toMatchObject({ cleared: true });
});

it('says what an unsatisfiable derivation waits for', async () => {
  const node = newNode();
  const message = 'no builder for the system riscv64-linux (local has x86_64-linux)';
  await served.database.derivations.save([node]);
  await served.database.builds.recordTransitions([step(node.path, null, 'unsatisfiable', { message })]);
  for (const path of ['', '/why']) {
    const drv = `/v1/drvs/${node.path.slice('/nix/store/'.length)}`;
    const answer = await send(socket, { path: drv + path });
    expect(JSON.parse(answer.body)).toMatchObject({
      state: 'unsatisfiable',
      why: `it waits for a builder: ${message}`,
    });
  }
});
