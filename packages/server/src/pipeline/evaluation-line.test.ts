// The line of evaluations under random arrivals and aborts: one at a time, and no turn is ever lost.
import { setImmediate as turn } from 'node:timers/promises';
import { type BuildClass, buildClasses } from '@eka-ci/core/build-order';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createEvaluationLine, type EvaluationNeed, type EvaluationPlace } from './evaluation-line.ts';

const asked = fc.record({
  class: fc.constantFrom(...buildClasses),
  arrivedAtMs: fc.nat(5),
  /** Turns of the event loop. */
  comesAt: fc.nat(6),
  takes: fc.nat(4),
  abortedAt: fc.option(fc.nat(12)),
  fails: fc.boolean(),
});

it('gives its turn to everybody who waits for it, one after the other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { maxLength: 8 }), async (all) => {
      const line = createEvaluationLine();
      let running = 0;
      const begun = new Set<number>();
      const ends = all.map(async ({ comesAt, takes, abortedAt, fails, ...place }, at) => {
        const abort = new AbortController();
        for (let turns = 0; turns < comesAt; turns++) await turn();
        const work = async (): Promise<string> => {
          begun.add(at);
          running += 1;
          expect(running).toBe(1);
          for (let turns = 0; turns < takes; turns++) await turn();
          running -= 1;
          if (fails) throw new Error('failed');
          return 'done';
        };
        const abortLater = async (): Promise<void> => {
          for (let turns = 0; turns < (abortedAt ?? 0); turns++) await turn();
          if (abortedAt !== null) abort.abort(new Error('aborted'));
        };
        const [ended] = await Promise.all([line.run(place, work, abort.signal).catch(String), abortLater()]);
        // What has begun is not ended for an abort: that is for itself to see.
        if (begun.has(at)) expect(ended).toBe(fails ? 'Error: failed' : 'done');
        else expect([ended, abortedAt === null]).toEqual(['Error: aborted', false]);
      });
      await Promise.all(ends);
      const place = { class: 'flaky-retry', arrivedAtMs: 9 } as const;
      expect(await line.run(place, () => Promise.resolve('last'), new AbortController().signal)).toBe('last');
    }),
  );
});

it('goes by class, then by age', async () => {
  const line = createEvaluationLine();
  const { signal } = new AbortController();
  const order: string[] = [];
  const run = (name: string, buildClass: BuildClass, arrivedAtMs: number): Promise<void> => {
    const work = async (): Promise<void> => void order.push(name);
    return line.run({ class: buildClass, arrivedAtMs }, work, signal);
  };
  await Promise.all([
    run('first', 'base-branch', 9),
    run('base', 'base-branch', 1),
    run('young', 'open-change', 3),
    run('old', 'open-change', 2),
  ]);
  expect(order).toEqual(['first', 'old', 'young', 'base']);
});

it('leaves whoever lacks something waiting, tells why once, and gives others their turns', async () => {
  const line = createEvaluationLine();
  const { signal } = new AbortController();
  const order: string[] = [];
  let there = false;
  const watching: (() => void)[] = [];
  const needs: EvaluationNeed = {
    take: () => (there ? null : 'there is none'),
    watch: (tell) => {
      watching.push(tell);
      return () => void watching.pop();
    },
    onWait: (reason) => void order.push(reason),
  };
  const run = (name: string, place: EvaluationPlace, abort = signal): Promise<void> =>
    line.run(place, async () => void order.push(name), abort);
  const first = run('first', { class: 'merge-queue', arrivedAtMs: 1, needs });
  await run('second', { class: 'open-change', arrivedAtMs: 2 });
  await run('third', { class: 'base-branch', arrivedAtMs: 3 });
  expect(order).toEqual(['there is none', 'second', 'third']);
  there = true;
  watching[0]?.();
  await first;
  expect(order.slice(3)).toEqual(['first']);
  expect(watching).toEqual([]);

  there = false;
  const gone = new AbortController();
  const aborted = run('aborted', { class: 'merge-queue', arrivedAtMs: 4, needs }, gone.signal);
  gone.abort(new Error('not wanted'));
  await expect(aborted).rejects.toThrow('not wanted');
  expect(watching).toEqual([]);
});
