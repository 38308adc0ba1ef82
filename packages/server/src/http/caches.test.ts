// How far pushes are, for everybody; and what operators have done about them.

import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { ServerStatus } from '@eka-ci/protocol/operations';
import { Registry } from 'prom-client';
import { afterEach, expect, it } from 'vitest';
import type { StoredPush } from '../database/database.ts';
import { type Listening, listen } from './listen.ts';
import { createPushMetrics } from './push-metrics.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { type Served, serve } from './testing/served.ts';

let served: Served | null = null;
let listening: Listening | null = null;
afterEach(async () => {
  await listening?.close();
  await served?.close();
  [served, listening] = [null, null];
});

const queue = {
  ...{ cache: 'main', waiting: 3, failing: 1, waitingSinceMs: 1000, active: 1 },
  fault: 'it does not answer',
};

const asked: string[] = [];

const open = async (): Promise<Served> => {
  asked.length = 0;
  return serve({
    pushes: {
      queues: async () => [queue],
      pushNow: async (cache, what) => {
        asked.push(`${cache} ${what}`);
        return cache === 'main' ? 3 : null;
      },
    },
  });
};

it('is shown with the status of the server', async () => {
  served = await open();
  const { caches } = ServerStatus.parse(await getJson(served.app, '/v1/status'));
  expect(caches).toEqual([queue]);
});

it('is tried at once for operators alone', async () => {
  served = await open();
  const refusal = await getRefusal(served.app, '/v1/caches/main/push', { method: 'POST' });
  expect(refusal).toMatchObject({ status: 401, code: 'SIGN_IN_REQUIRED' });
  const socketPath = join(served.folder, 'socket');
  listening = await listen(served.app, {
    ...{ tcp: null, socket: { path: socketPath, mode: 0o600 }, closeTimeoutMs: 100 },
  });
  const send = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath, method: 'POST', path }, (answer) => {
        text(answer).then((body) => resolve(`${answer.statusCode} ${body}`), reject);
      });
      sent.once('error', reject).end();
    });
  expect(await send('/v1/caches/main/push')).toBe('200 {"due":3}');
  expect(await send('/v1/caches/main/push?what=everything')).toBe('200 {"due":3}');
  expect(await send('/v1/caches/other/push')).toContain('CACHE_NOT_FOUND');
  expect(await send('/v1/caches/main/push?what=nothing')).toMatch(/^400 /);
  expect(asked).toEqual(['main waiting', 'main everything', 'other waiting']);
});

it('is counted by cache and outcome', async () => {
  const registry = new Registry();
  const metrics = createPushMetrics({
    counts: async () => [{ cache: 'main', waiting: 3, failing: 1, waitingSinceMs: 1000 }],
    clock: () => 61_000,
  });
  metrics.registerIn(registry);
  const push: StoredPush = {
    ...{ id: 1, cache: 'main', drv: '/nix/store/a.drv' as DrvPath, outputs: ['/nix/store/a' as StorePath] },
    ...{ repository: 'o/r', branch: 'main', changeId: null, publicationId: 1, priority: 0, state: 'waiting' },
    ...{ attempts: 0, nextAtMs: 0, fault: null, waitingSinceMs: 0, updatedAtMs: 0 },
  };
  metrics.told({ kind: 'ending', cache: 'main', ending: { kind: 'pushed', push, durationMs: 1500 } });
  metrics.told({ kind: 'ending', cache: 'main', ending: { kind: 'present', push } });
  const fault = { kind: 'passing', why: 'down', retryAfterMs: null } as const;
  metrics.told({ kind: 'ending', cache: 'main', ending: { kind: 'failed', push, durationMs: 10, fault } });
  metrics.told({ kind: 'sent', cache: 'main', sent: { paths: 4, bytes: 1000 } });
  metrics.told({ kind: 'sent', cache: 'main', sent: { paths: null, bytes: null } });
  const read = await registry.metrics();
  for (const line of [
    'eka_ci_cache_pushes_total{cache="main",outcome="pushed"} 1',
    'eka_ci_cache_pushes_total{cache="main",outcome="present"} 1',
    'eka_ci_cache_pushes_total{cache="main",outcome="passing"} 1',
    'eka_ci_cache_push_paths_total{cache="main"} 4',
    'eka_ci_cache_push_bytes_total{cache="main"} 1000',
    'eka_ci_cache_push_duration_seconds_count{cache="main",outcome="pushed"} 1',
    'eka_ci_cache_push_queued{cache="main"} 3',
    'eka_ci_cache_push_failing{cache="main"} 1',
    'eka_ci_cache_push_oldest_seconds{cache="main"} 60',
  ]) {
    expect(read.split('\n')).toContain(line);
  }
});
