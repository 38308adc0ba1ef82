// What is seen of runs while they go on.
import type { DrvPath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { BuildOutcome } from './build-outcome.ts';
import { createLiveBuilds } from './live-builds.ts';

const drvs = ['a', 'b', 'c'].map((name) => `/nix/store/${name.repeat(32)}-${name}.drv` as DrvPath);
const [a, b, c] = drvs as [DrvPath, DrvPath, DrvPath];
const outcome = (drv: DrvPath): BuildOutcome => ({
  drv,
  state: 'succeeded',
  cause: 'built',
  culprit: null,
  message: null,
  attempt: 1,
  logFile: null,
  logFault: null,
  lastLines: [],
  durationMs: 1,
});

it('shows what waits, what runs and why, until the run ends', () => {
  let now = 100;
  const live = createLiveBuilds(() => now);
  const run = live.follow(drvs, (drv) => (drv === c ? 'it waits for b' : null));
  expect(live.queued()).toEqual(drvs);
  const started = { kind: 'build-started', attempt: 1, builder: 'local', logFile: 'x' } as const;
  run.take({ ...started, drv: b });
  now = 50;
  run.take({ ...started, drv: a });
  run.take({ kind: 'phase', drv: b, attempt: 1, phase: 'checkPhase' });
  expect(live.active().map(({ drv, phase, startedAtMs }) => [drv, phase, startedAtMs])).toEqual([
    [a, null, 50],
    [b, 'checkPhase', 100],
  ]);
  run.take({ kind: 'retried', drv: a, attempt: 1, cause: 'network', message: null });
  run.take({ kind: 'build-finished', outcome: outcome(b) });
  expect(live.active()).toEqual([]);
  expect(live.queued()).toEqual([c, a]);
  expect([live.why(a), live.why(c)]).toEqual([null, 'it waits for b']);
  run.end();
  expect([live.queued(), live.active(), live.why(c)]).toEqual([[], [], null]);
});
