// Which failures on record stand for another try, over random histories of a real database.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { BuildCause } from '@eka-ci/core/build-state';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode } from '../../database/testing/samples.ts';
import { findKnownFailures, type KnownFailure } from './known-failures.ts';
import { createRecorder, type Recorder, type StepToRecord } from './record.ts';
import { logFileOf } from './run-attempt.ts';

const dayMs = 24 * 60 * 60_000;
const failureDays = 14;

let database: Database;
let logsDir: string;
let now = 100 * dayMs;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  logsDir = await mkdtemp(join(tmpdir(), 'eka-ci-known-'));
});
afterAll(async () => {
  await database.close();
  await rm(logsDir, { recursive: true, force: true });
});

const recorderNow = (): Recorder => createRecorder({ database, clock: () => now });

const step = (
  drv: DrvNode['path'],
  name: StepToRecord['step'],
  more: Partial<StepToRecord> = {},
): StepToRecord => ({ drv, step: name, cause: null, culprit: null, message: null, logFile: null, ...more });

type End = readonly [StepToRecord['step'], BuildCause];

/** One attempt as a scheduler records it. */
const attempt = async (drv: DrvNode['path'], [name, cause]: End): Promise<number> => {
  const recorder = recorderNow();
  await recorder.enqueue([drv]);
  const logFile = logFileOf(drv, recorder.attemptOf(drv));
  await recorder.record([step(drv, 'inputs-ready'), step(drv, 'start')]);
  const message = `it said ${cause}`;
  await recorder.record([step(drv, name, { cause, logFile, message })]);
  return recorder.attemptOf(drv);
};

const store = async (
  more: Partial<DrvNode> = {},
): Promise<{ node: DrvNode; graph: DrvGraph; id: NodeId }> => {
  const node = newNode([], more);
  await database.derivations.save([node]);
  const graph = new DrvGraph();
  return { node, graph, id: graph.add(node) };
};

const find = async (
  { graph, id }: { graph: DrvGraph; id: NodeId },
  days = failureDays,
): Promise<KnownFailure | undefined> => {
  const deps = { builds: database.builds, clock: () => now, failureDays: days, logsDir };
  return (await findKnownFailures(deps, graph, new Set([id]))).get(id);
};

const happening = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom<End>(
      ['fail', 'builder-exit'],
      ['fail', 'builder-exit'],
      ['fail', 'missing-output'],
      ['fail', 'network'],
      ['fail', 'hash-mismatch'],
      ['interrupt', 'timeout'],
      ['interrupt', 'cancelled'],
      ['succeed', 'built'],
    ),
  },
  { weight: 2, arbitrary: fc.constant('clear' as const) },
  { weight: 1, arbitrary: fc.constant('days pass' as const) },
  { weight: 1, arbitrary: fc.constant('the server dies' as const) },
);

interface Model {
  /** Own failures in a row since the last success or clearing. */
  inARow: number;
  newest: { readonly cause: BuildCause; readonly attempt: number; readonly atMs: number } | null;
}

describe('a known failure', () => {
  it('is the newest attempt, of its own doing, young and not cleared, over any history', async () => {
    const history = fc.array(happening, { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(history, async (happenings) => {
        const stored = await store();
        const drv = stored.node.path;
        const model: Model = { inARow: 0, newest: null };
        let logs = 0;
        for (const one of happenings) {
          now += 60_000;
          if (one === 'days pass') now += failureDays * dayMs;
          else if (one === 'clear') {
            await database.changes.clearFailures({ drvs: [drv], atMs: now });
            const [last] = (await database.builds.attemptsOf(drv)).slice(-1);
            // What a server's death cut short is taken up again anyway: there is nothing to clear, and what failed before counts.
            if (last !== undefined && last.state !== 'succeeded' && last.cause !== 'scheduler-death')
              Object.assign(model, { inARow: 0, newest: null });
          } else if (one === 'the server dies') {
            await recorderNow().enqueue([drv]);
            await recorderNow().interruptWaiting();
            model.newest = null;
          } else {
            const number = await attempt(drv, one);
            logs += 1;
            const isOwn = one[1] === 'builder-exit' || one[1] === 'missing-output';
            // One that does not match is its own doing as well, though it is always tried again.
            if (isOwn || one[1] === 'hash-mismatch') model.inARow += 1;
            if (one[0] === 'succeed') model.inARow = 0;
            model.newest = isOwn ? { cause: one[1], attempt: number, atMs: now } : null;
          }
        }
        const found = await find(stored);
        const { newest, inARow } = model;
        if (newest === null || now - newest.atMs >= failureDays * dayMs) expect(found).toBeUndefined();
        else {
          expect(found).toMatchObject({
            cause: newest.cause,
            attempt: newest.attempt,
            endedAtMs: newest.atMs,
            builtAgain: inARow > 1,
            logFile: logFileOf(drv, newest.attempt),
            message: expect.stringMatching(/^failed before, on .* UTC: it said /) as string,
          });
        }
        // Whatever came later, every attempt that was made is there with its log.
        const attempts = await database.builds.attemptsOf(drv);
        const named = attempts.flatMap(({ logFile }) => logFile ?? []);
        expect(named).toHaveLength(logs);
        expect(new Set(named).size).toBe(logs);
      }),
      { numRuns: 150 },
    );
  });

  it('is never that of a fixed-output derivation, nor any where failures are kept for no day', async () => {
    const download = await store({ fixedOutput: true });
    const own = await store();
    for (const { node } of [download, own]) await attempt(node.path, ['fail', 'builder-exit']);
    expect(await find(download)).toBeUndefined();
    expect(await find(own)).toBeDefined();
    expect(await find(own, 0)).toBeUndefined();
  });

  it('shows the end of its log, and does without one that is gone', async () => {
    const stored = await store();
    const number = await attempt(stored.node.path, ['fail', 'builder-exit']);
    expect(await find(stored)).toMatchObject({ lastLines: [] });
    const path = join(logsDir, logFileOf(stored.node.path, number));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Array.from({ length: 30 }, (_, line) => `line ${line}\n`).join(''));
    const found = await find(stored);
    expect(found?.lastLines).toHaveLength(20);
    expect(found?.lastLines.at(-1)).toBe('line 29');
  });
});
