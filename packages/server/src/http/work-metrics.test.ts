import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newNode, newPath } from '../database/testing/samples.ts';
import { createRecorder } from '../pipeline/builds/record.ts';
import { metricsToken, newChange, type Served, serve } from './testing/served.ts';
import { createWorkMetrics } from './work-metrics.ts';

let now = 0;
let served: Served;
const metrics = createWorkMetrics(() => now);
beforeAll(async () => {
  served = await serve({ workMetrics: metrics });
});
afterAll(() => served.close());

/** The samples of one metric, as Prometheus reads them. */
const read = async (name: string): Promise<string[]> => {
  const headers = { authorization: `Bearer ${metricsToken}` };
  const { body } = await served.app.inject({ url: '/metrics', headers });
  return body.split('\n').filter((line) => line.startsWith(`eka_ci_${name}`) && !line.includes('_bucket'));
};

const step = (drv: ReturnType<typeof newPath>, to: 'inputs-ready' | 'start' | 'fail' | 'succeed') => ({
  drv,
  step: to,
  cause: to === 'fail' ? ('builder-exit' as const) : to === 'succeed' ? ('built' as const) : null,
  culprit: null,
  message: null,
  logFile: null,
});

describe('the metrics of the work', () => {
  it('tell how builds ended, how long they took and how long they waited', async () => {
    const recorder = createRecorder({
      database: served.database,
      clock: () => now,
      onRecorded: metrics.recorded,
    });
    const [one, other] = [newPath('counted-1'), newPath('counted-2')];
    await served.database.derivations.save([newNode([], { path: one }), newNode([], { path: other })]);
    await recorder.enqueue([one, other]);
    await recorder.record([step(one, 'inputs-ready'), step(other, 'inputs-ready')]);
    now = 2000;
    await recorder.record([step(one, 'start')]);
    now = 12_000;
    await recorder.record([step(one, 'succeed'), step(other, 'start')]);
    now = 15_000;
    await recorder.record([step(other, 'fail')]);
    expect(await read('builds_finished_total')).toEqual([
      'eka_ci_builds_finished_total{outcome="succeeded",cause="built"} 1',
      'eka_ci_builds_finished_total{outcome="failed",cause="builder-exit"} 1',
    ]);
    expect(await read('build_duration_seconds')).toEqual([
      'eka_ci_build_duration_seconds_sum{outcome="succeeded"} 10',
      'eka_ci_build_duration_seconds_count{outcome="succeeded"} 1',
      'eka_ci_build_duration_seconds_sum{outcome="failed"} 3',
      'eka_ci_build_duration_seconds_count{outcome="failed"} 1',
    ]);
    expect(await read('build_queue_wait_seconds')).toEqual([
      'eka_ci_build_queue_wait_seconds_sum 14',
      'eka_ci_build_queue_wait_seconds_count 2',
    ]);
  });

  it('tell of evaluations and of judgements', async () => {
    const change = newChange('counted');
    const evaluating = { type: 'evaluating', job: 'x', side: 'judged', known: 9 } as const;
    now = 1000;
    metrics.judging({ kind: 'started', change });
    metrics.progress(change, { ...evaluating, evaluated: 0, failed: 0, known: 0, done: false });
    metrics.progress(change, { ...evaluating, evaluated: 5, failed: 0, done: false });
    // It is done again, and does not count before that.
    now = 2000;
    metrics.progress(change, { ...evaluating, evaluated: 0, failed: 0, known: 0, done: false });
    now = 3000;
    metrics.progress(change, { ...evaluating, evaluated: 7, failed: 0, done: false });
    now = 5000;
    metrics.progress(change, { ...evaluating, evaluated: 9, failed: 2, done: true });
    now = 9000;
    const result = { state: 'failed', conclusion: 'failure', fault: 'X: y' } as const;
    metrics.judging({ kind: 'finished', change, result });
    metrics.judging({ kind: 'stopped', change, reason: 'not-wanted' });
    expect(await read('evaluation_')).toEqual([
      'eka_ci_evaluation_records_total{side="judged"} 9',
      'eka_ci_evaluation_failures_total{side="judged"} 2',
      'eka_ci_evaluation_duration_seconds_sum{side="judged"} 3',
      'eka_ci_evaluation_duration_seconds_count{side="judged"} 1',
    ]);
    expect(await read('change')).toEqual(
      expect.arrayContaining([
        'eka_ci_changes_judged_total{kind="branch",conclusion="failure"} 1',
        'eka_ci_change_duration_seconds_sum{kind="branch"} 8',
        'eka_ci_changes_stopped_total{reason="not-wanted"} 1',
      ]),
    );
  });
});
