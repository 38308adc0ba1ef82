// Contract of what the port learns of packages.
import type { BuildCause, BuildState } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database } from './database.ts';
import { newNode, newPath, step } from './testing/samples.ts';

/** One attempt, from what came before it to its end. */
const attempt = (
  drv: DrvPath,
  number: number,
  from: BuildState | null,
  end: [BuildState, BuildCause, number],
) => {
  const [to, cause, durationMs] = end;
  const startedAtMs = 10_000 * number;
  const more = { attempt: number, atMs: startedAtMs };
  return [
    step(drv, from, 'queued', more),
    step(drv, 'queued', 'buildable', more),
    step(drv, 'buildable', 'building', more),
    step(drv, 'building', to, { ...more, atMs: startedAtMs + durationMs, cause, logFile: `${number}.log` }),
  ];
};

export const packageContract = (given: () => Database): void => {
  const key = (pname: string) => ({ system: 'x86_64-linux', pname, fixedOutput: false });

  it('learns the durations of what was built, by name and kind, and of nothing else', async () => {
    const { builds, derivations, packages } = given();
    const nodes = ['1.0', '1.1', '1.2', '1.3'].map((version) =>
      newNode([], { path: newPath(`timed-${version}`) }),
    );
    const fetch = newNode([], { path: newPath('timed-1.0.tar.gz'), fixedOutput: true });
    await derivations.save([...nodes, fetch]);
    const [a, b, c, d] = nodes.map(({ path }) => path) as [DrvPath, DrvPath, DrvPath, DrvPath];
    await builds.recordTransitions([
      ...attempt(a, 1, null, ['succeeded', 'built', 700]),
      ...attempt(b, 1, null, ['succeeded', 'substituted', 5]),
      ...attempt(c, 1, null, ['failed', 'builder-exit', 6]),
      ...attempt(fetch.path, 1, null, ['succeeded', 'built', 20]),
    ]);
    // It was there before anybody could start it.
    await builds.recordTransitions([
      step(d, null, 'queued'),
      step(d, 'queued', 'succeeded', { cause: 'already-valid' }),
    ]);
    // By a clock that was set back meanwhile.
    await builds.recordTransitions(attempt(b, 2, 'succeeded', ['succeeded', 'built', -50]));
    await builds.recordTransitions(attempt(c, 2, 'failed', ['interrupted', 'timeout', 9]));
    await builds.recordTransitions(attempt(d, 2, 'succeeded', ['succeeded', 'built', 800]));
    const asked = [key('timed'), key('timed'), { ...key('timed'), fixedOutput: true }, key('unheard')];
    const histories = await packages.historiesOf(asked);
    expect(new Map(histories.map(({ fixedOutput, ...history }) => [fixedOutput, history.recentMs]))).toEqual(
      new Map([
        [false, [700, 800]],
        [true, [20]],
      ]),
    );
    expect(histories).toHaveLength(2);
    expect(await packages.historiesOf([])).toEqual([]);
  });

  it('learns nothing from what is not recorded', async () => {
    const { builds, derivations, packages } = given();
    const node = newNode([], { path: newPath('refused-1') });
    await derivations.save([node]);
    const stale = [
      ...attempt(node.path, 1, null, ['succeeded', 'built', 7]),
      step(node.path, 'building', 'failed'),
    ];
    await expect(builds.recordTransitions(stale)).rejects.toMatchObject({ code: 'BUILD_STATE_STALE' });
    expect(await packages.historiesOf([key('refused')])).toEqual([]);
  });

  it('counts builds that ended in both ways, and has the answers of all attempts', async () => {
    const { builds, derivations, packages } = given();
    const [first, second] = [
      newNode([], { path: newPath('moody-1') }),
      newNode([], { path: newPath('moody-2') }),
    ];
    await derivations.save([first, second]);
    await builds.recordTransitions([
      ...attempt(first.path, 1, null, ['failed', 'builder-exit', 1]),
      ...attempt(first.path, 2, 'failed', ['interrupted', 'scheduler-death', 1]),
      ...attempt(first.path, 3, 'interrupted', ['succeeded', 'built', 100]),
      ...attempt(second.path, 1, null, ['failed', 'network', 1]),
      ...attempt(second.path, 2, 'failed', ['succeeded', 'built', 200]),
    ]);
    // Collected meanwhile, and built anew: that is no second time.
    await builds.recordTransitions(attempt(first.path, 4, 'succeeded', ['succeeded', 'built', 300]));
    expect(await packages.historiesOf([key('moody')])).toEqual([
      { ...key('moody'), recentMs: [100, 200, 300], flakyBuilds: 1, flakyAtMs: 30_100 },
    ]);
    const answers = await builds.answersOf([first.path, first.path, newPath()]);
    expect([...answers]).toEqual([
      [
        first.path,
        [
          { attempt: 1, state: 'failed', cause: 'builder-exit', logFile: '1.log' },
          { attempt: 3, state: 'succeeded', cause: 'built', logFile: '3.log' },
          { attempt: 4, state: 'succeeded', cause: 'built', logFile: '4.log' },
        ],
      ],
    ]);
  });

  it('forgets packages of which nothing was learnt for long', async () => {
    const { builds, derivations, packages } = given();
    const [old, young] = [newNode([], { path: newPath('old-1') }), newNode([], { path: newPath('young-1') })];
    // What other tests of this database had.
    await packages.forget(1001);
    await derivations.save([old, young]);
    await builds.recordTransitions([
      ...attempt(old.path, 1, null, ['succeeded', 'built', -9000]),
      ...attempt(young.path, 1, null, ['succeeded', 'built', 0]),
    ]);
    expect(await packages.forget(1000)).toBe(0);
    expect(await packages.forget(1001)).toBe(1);
    expect((await packages.historiesOf([key('old'), key('young')])).map(({ pname }) => pname)).toEqual([
      'young',
    ]);
  });
};
