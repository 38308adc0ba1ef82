// What runs, what waits and on which builders, and the changes that it is for.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newNode, newPath, step } from '../database/testing/samples.ts';
import { createRunningFacts } from '../pipeline/builds/running-facts.ts';
import { createHttpApp } from './app.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { newChange, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const refusal = (url: string) => getRefusal(served.app, url);
const get = (url: string) => getJson(served.app, url);

describe('builds', () => {
  it('lists what runs and what waits, with reasons', async () => {
    expect(await get('/v1/builds/active')).toEqual({
      builds: [
        {
          drvPath: served.input,
          name: 'zlib-1.3',
          system: 'x86_64-linux',
          attempt: 1,
          builder: 'local',
          phase: 'buildPhase',
          startedAtMs: 900,
          elapsedMs: 60_100,
          expectedMs: null,
          why: null,
        },
      ],
    });
    expect(await get('/v1/builds/queue')).toMatchObject({
      total: 1,
      builds: [{ name: 'git-2.47', why: 'git-2.47 waits for curl-8.1.' }],
    });
  });

  it('pages through any queue, and leaves out reasons that take too long', async () => {
    const { deps, dependent, input } = served;
    const all = Array.from({ length: 1200 }, (_, index) => (index % 2 === 0 ? dependent : input));
    const slowWhy = (): string => {
      for (const untilMs = performance.now() + 40; performance.now() < untilMs; );
      return 'found';
    };
    const builds = {
      ...deps.builds,
      queued: (start: number, limit: number) => all.slice(start, start + limit),
      queuedCount: () => all.length,
      why: slowWhy,
    };
    const app = await createHttpApp({ ...deps, builds });
    type Page = { total: number; builds: { why: string | null }[]; nextCursor: string | null };
    const pages: Page[] = [];
    for (let cursor: string | null = ''; cursor !== null; cursor = pages.at(-1)?.nextCursor ?? null) {
      const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
      pages.push((await getJson(app, `/v1/builds/queue?limit=500${from}`)) as Page);
    }
    expect(pages.map((page) => page.builds.length)).toEqual([500, 500, 200]);
    expect(pages.every(({ total }) => total === 1200)).toBe(true);
    const reasons = pages.flatMap((page) => page.builds.slice(1).map(({ why }) => why));
    expect(new Set(reasons)).toEqual(new Set([null]));
    await app.close();
  });

  it('lists builders with what runs on each, and what keeps one out', async () => {
    expect(await get('/v1/builders')).toMatchObject({
      builders: [
        { name: 'local', slots: { build: 2 }, running: { build: 1, fixedOutput: 0 }, outage: null },
        {
          name: 'ssh://far.example.org',
          running: { build: 0, fixedOutput: 0 },
          outage: { reason: 'it does not answer: timed out', retryAtMs: 90_000 },
        },
      ],
    });
    expect(await get('/v1/status')).toMatchObject({ builders: { up: 1, out: 1 } });
  });

  it('tells fetches from builds, and what a package took before', async () => {
    const drv = newPath('fetched-1.0');
    const { database, deps } = served;
    await database.derivations.save([newNode([], { path: drv, fixedOutput: true })]);
    const took = { from: 'building', to: 'succeeded', cause: 'built', atMs: 9000 } as const;
    await database.builds.recordTransitions([
      step(drv, null, 'queued'),
      step(drv, 'queued', 'buildable'),
      step(drv, 'buildable', 'building', { atMs: 2000 }),
      step(drv, took.from, took.to, took),
    ]);
    const build = { drv, attempt: 2, builder: 'local', phase: null, startedAtMs: 90_000 };
    const running = createRunningFacts(database);
    const app = await createHttpApp({ ...deps, running, builds: { ...deps.builds, active: () => [build] } });
    const active = await getJson(app, '/v1/builds/active');
    expect(active).toMatchObject({ builds: [{ elapsedMs: 0, expectedMs: 7000 }] });
    const builders = await getJson(app, '/v1/builders');
    expect(builders).toMatchObject({ builders: [{ running: { build: 0, fixedOutput: 1 } }, {}] });
    await app.close();
  });
});

describe('open changes', () => {
  it('are there with how far they are, those that are judged first, as many as asked for', async () => {
    const { database, deps } = served;
    const open = (id: string, state: 'queued' | 'judging', createdAtMs: number) =>
      database.changes.save(
        newChange(id, { repository: `open/${id}`, number: 1, state, createdAtMs, kind: 'submitted' }),
      );
    await open('open-1', 'queued', 30);
    await open('open-2', 'judging', 20);
    await open('open-3', 'judging', 10);
    const far = { stage: 'building', finished: 3, total: 9, failed: 1, etaSeconds: 12 } as const;
    const app = await createHttpApp({ ...deps, progressOf: (id) => (id === 'open-2' ? far : null) });
    const none = { finished: 0, total: 0, failed: 0, etaSeconds: null };
    const first = [
      { id: 'open-2', progress: far },
      { id: 'open-3', progress: { stage: 'checking-out', ...none } },
    ];
    const ofOpen = { counts: { queued: 1, judging: 1 }, changes: first };
    expect(await getJson(app, '/v1/prs/active?limit=2')).toMatchObject(ofOpen);
    const all = (await getJson(app, '/v1/prs/active')) as { changes: readonly { id: string }[] };
    expect(all.changes.find(({ id }) => id === 'open-1')).toMatchObject({
      progress: { stage: 'waiting', ...none },
    });
    await app.close();
    expect(await refusal('/v1/prs/active?limit=501')).toMatchObject({ code: 'REQUEST_INVALID' });
  });
});
