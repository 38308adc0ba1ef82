import { IllegalBuildStepError } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode } from '../../database/testing/samples.ts';
import { createRecorder, type Recorder, type StepToRecord } from './record.ts';

let database: Database;
let now = 1000;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const newRecorder = (): Recorder => createRecorder({ database, clock: () => now++ });

const newDrv = async (): Promise<DrvPath> => {
  const node = newNode();
  await database.derivations.save([node]);
  return node.path;
};

const step = (drv: DrvPath, name: StepToRecord['step'], more: Partial<StepToRecord> = {}): StepToRecord => {
  return { drv, step: name, cause: null, culprit: null, message: null, logFile: null, ...more };
};

const walk = async (drv: DrvPath): Promise<string[]> =>
  (await database.builds.historyOf(drv)).map(
    ({ attempt, to, cause }) => `${attempt} ${to}${cause ? ` ${cause}` : ''}`,
  );

describe('the recorder', () => {
  it('numbers attempts over retries, runs and deaths of the server', async () => {
    const drv = await newDrv();
    const first = newRecorder();
    await first.enqueue([drv]);
    await first.enqueue([drv]);
    await first.record([step(drv, 'inputs-ready'), step(drv, 'start')]);
    expect(first.attemptOf(drv)).toBe(1);
    await first.record([
      step(drv, 'interrupt', { cause: 'network' }),
      step(drv, 'retry'),
      step(drv, 'start'),
    ]);
    expect(first.attemptOf(drv)).toBe(2);

    // The server dies here.
    const second = newRecorder();
    const recorded = await second.enqueue([drv]);
    expect(recorded.map(({ from, to }) => [from, to])).toEqual([
      ['building', 'interrupted'],
      ['interrupted', 'queued'],
    ]);
    await second.record([
      step(drv, 'inputs-ready'),
      step(drv, 'start'),
      step(drv, 'fail', { cause: 'builder-exit' }),
    ]);
    await second.enqueue([drv]);
    expect(await walk(drv)).toEqual([
      '1 queued',
      '1 buildable',
      '1 building',
      '1 interrupted network',
      '2 buildable',
      '2 building',
      '2 interrupted scheduler-death',
      '3 queued',
      '3 buildable',
      '3 building',
      '3 failed builder-exit',
      '4 queued',
    ]);
  });

  it('gives no new number where nothing was started', async () => {
    const [drv, culprit] = [await newDrv(), await newDrv()];
    const recorder = newRecorder();
    await recorder.enqueue([drv]);
    await recorder.record([
      step(drv, 'fail-dependency', { cause: 'builder-exit', culprit, message: 'x'.repeat(9999) }),
    ]);
    expect((await database.builds.statesOf([drv])).get(drv)?.message).toHaveLength(4000);
    await newRecorder().enqueue([drv]);
    expect(await walk(drv)).toEqual(['1 queued', '1 dependency-failed builder-exit', '1 queued']);
  });

  it('records all of a call or nothing, and stays usable', async () => {
    const [good, bad] = [await newDrv(), await newDrv()];
    const recorder = newRecorder();
    await recorder.enqueue([good, bad]);
    await expect(recorder.record([step(good, 'inputs-ready'), step(bad, 'start')])).rejects.toThrow(
      IllegalBuildStepError,
    );
    const culprit = newNode().path;
    const unknown = recorder.record([step(good, 'inputs-ready'), step(bad, 'fail-dependency', { culprit })]);
    await expect(unknown).rejects.toMatchObject({ code: 'DATABASE_UNKNOWN_DERIVATION' });
    expect(await walk(good)).toEqual(['1 queued']);
    await recorder.record([step(good, 'inputs-ready')]);
    expect(await walk(good)).toEqual(['1 queued', '1 buildable']);
  });

  it('tells of what is on disk, and of nothing else', async () => {
    const drv = await newDrv();
    const told: unknown[] = [];
    const recorder = createRecorder({
      database,
      clock: () => now++,
      onRecorded: (transitions) => told.push(...transitions),
    });
    const enqueued = await recorder.enqueue([drv]);
    await expect(recorder.record([step(drv, 'inputs-ready'), step(drv, 'fail')])).rejects.toMatchObject({
      code: 'BUILD_STEP_ILLEGAL',
    });
    // Another recorder has moved it: the database refuses, though the step is legal.
    const other = newRecorder();
    await other.load([drv]);
    await other.record([step(drv, 'inputs-ready')]);
    await expect(recorder.record([step(drv, 'inputs-ready')])).rejects.toMatchObject({
      code: 'BUILD_STATE_STALE',
    });
    expect(told).toEqual(enqueued);
    expect(enqueued).toHaveLength(1);
  });

  it('carries out calls in the order they were made', async () => {
    const drv = await newDrv();
    const recorder = newRecorder();
    await Promise.all([
      recorder.enqueue([drv]),
      recorder.record([step(drv, 'inputs-ready')]),
      recorder.record([step(drv, 'start')]),
      recorder.record([step(drv, 'succeed', { cause: 'built', logFile: 'ab/log' })]),
    ]);
    expect((await database.builds.statesOf([drv])).get(drv)).toMatchObject({
      state: 'succeeded',
      logFile: 'ab/log',
    });
  });
});
