// Contract of the port's runs of checks: each ends once, and what came of a question is found until it counts no more.
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import type { CheckRunEnd, Database, NewCheckRun } from './database.ts';

let given: () => Database;
let changeId: string;
let question: string;

const asked = (more: Partial<NewCheckRun> = {}): NewCheckRun => ({
  id: randomUUID(),
  changeId,
  name: 'format',
  question,
  queuedAtMs: 1000,
  ...more,
});

const failed: CheckRunEnd = {
  outcome: 'failed',
  status: 3,
  reason: 'it ended with status 3',
  durationMs: 1200,
  outputTail: ['one\u0000', 'two'],
  isAnswer: true,
  atMs: 3000,
};
const passed: CheckRunEnd = { ...failed, outcome: 'passed', status: 0, reason: null };

const run = async (ended: CheckRunEnd, more: Partial<NewCheckRun> = {}): Promise<NewCheckRun> => {
  const { checkRuns } = given();
  const one = asked(more);
  await checkRuns.queue(one);
  await checkRuns.start(one.id, `${one.id}.log`);
  expect(await checkRuns.end(one.id, ended)).toBe(true);
  return one;
};

/** @param get a database that other tests use as well */
export const checkRunContract = (get: () => Database): void => {
  beforeEach(() => {
    given = get;
    changeId = randomUUID();
    question = randomUUID();
  });

  it('goes from queued to running to its end, and ends once', async () => {
    const { checkRuns } = given();
    const one = asked();
    await checkRuns.queue(one);
    const open = {
      status: null,
      reason: null,
      durationMs: null,
      outputTail: [],
      kept: false,
      endedAtMs: null,
    };
    expect(await checkRuns.find(one.id)).toEqual({ ...one, ...open, state: 'queued', logFile: null });
    await checkRuns.start(one.id, 'a/b.log');
    expect(await checkRuns.find(one.id)).toMatchObject({ state: 'running', logFile: 'a/b.log' });
    expect(await checkRuns.findAnswer(question, 0)).toBeNull();
    expect(await checkRuns.end(one.id, failed)).toBe(true);
    expect(await checkRuns.end(one.id, { ...passed, atMs: 4000 })).toBe(false);
    const { outcome: state, isAnswer: _, atMs: endedAtMs, ...rest } = failed;
    expect(await checkRuns.find(one.id)).toMatchObject({ ...rest, state, endedAtMs });
    expect(await checkRuns.find(randomUUID())).toBeNull();
  });

  it('answers a question by its newest answer, a failure only while it is young', async () => {
    const { checkRuns } = given();
    const first = await run(failed);
    expect(await checkRuns.findAnswer(question, 3000)).toMatchObject({ id: first.id });
    expect(await checkRuns.findAnswer(question, 3001)).toBeNull();
    await run({ ...failed, outcome: 'cancelled', isAnswer: false });
    const last = await run(passed);
    expect(await checkRuns.findAnswer(question, 9999)).toMatchObject({ id: last.id, state: 'passed' });
    expect(await checkRuns.findAnswer(randomUUID(), 0)).toBeNull();
  });

  it('tells an answer of another change as one that was kept, which makes it no younger', async () => {
    const { checkRuns } = given();
    await run(failed);
    const other = asked({ changeId: randomUUID(), queuedAtMs: 8000 });
    const answer = await checkRuns.findAnswer(question, 0);
    if (answer === null) throw new Error('no answer');
    await checkRuns.keepAnswer(other, answer);
    const { state, status, reason, outputTail, logFile } = answer;
    expect(await checkRuns.ofChange(other.changeId)).toMatchObject([
      { ...other, state, status, reason, outputTail, logFile, kept: true, endedAtMs: 8000 },
    ]);
    expect(await checkRuns.findAnswer(question, 8000)).toBeNull();
  });

  it('lists of each check of a change its newest run', async () => {
    await run(failed, { name: 'b' });
    const [b, a] = [await run(passed, { name: 'b' }), await run(passed, { name: 'a' })];
    expect((await given().checkRuns.ofChange(changeId)).map(({ id }) => id)).toEqual([a.id, b.id]);
  });

  it('forgets what did not pass, whoever asked it, or the one that is named', async () => {
    const { checkRuns } = given();
    const [well, ill] = [randomUUID(), randomUUID()];
    await run(failed, { question: ill, changeId: randomUUID() });
    await run(failed, { question: ill, name: 'ill' });
    await run(passed, { question: well, name: 'well' });
    expect(await checkRuns.forgetAnswers(changeId, null)).toBe(2);
    expect(await checkRuns.findAnswer(ill, 0)).toBeNull();
    expect(await checkRuns.findAnswer(well, 0)).not.toBeNull();
    expect(await checkRuns.forgetAnswers(changeId, 'other')).toBe(0);
    expect(await checkRuns.forgetAnswers(changeId, 'well')).toBe(1);
    expect(await checkRuns.findAnswer(well, 0)).toBeNull();
  });

  it('forgets what did not pass of a change that somebody has judged again', async () => {
    await run(failed);
    await given().changes.clearFailures({ drvs: [], atMs: 1 });
    expect(await given().checkRuns.findAnswer(question, 0)).not.toBeNull();
    await given().changes.clearFailures({ drvs: [], askedOf: changeId, atMs: 1 });
    expect(await given().checkRuns.findAnswer(question, 0)).toBeNull();
  });

  it('ends what nobody runs any more, and removes what ended long ago', async () => {
    const { checkRuns } = given();
    const [queued, running, ended] = [asked({ name: 'q' }), asked({ name: 'r' }), await run(passed)];
    await checkRuns.queue(queued);
    await checkRuns.queue(running);
    await checkRuns.start(running.id, 'x.log');
    expect(await checkRuns.interruptAll(5000)).toBeGreaterThanOrEqual(2);
    const states = (await checkRuns.ofChange(changeId)).map(({ state, endedAtMs }) => [state, endedAtMs]);
    expect(states).toEqual([
      ['passed', 3000],
      ['interrupted', 5000],
      ['interrupted', 5000],
    ]);
    await checkRuns.forget(5000);
    expect(await checkRuns.find(ended.id)).toBeNull();
    expect(await checkRuns.find(queued.id)).not.toBeNull();
  });
};
