import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitSha } from '@eka-ci/core/ids';
import { LiveEvent } from '@eka-ci/protocol/live';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordedTransition } from '../../database/database.ts';
import { newPath, step } from '../../database/testing/samples.ts';
import { createLogFile } from '../../lib/log-file.ts';
import { queuedChange } from '../testing/changes.ts';
import { createJobStats } from './job-stats.ts';
import { firstProgress, type JudgementProgress, progressAfter } from './judgement-progress.ts';
import { createLiveFeed } from './live-feed.ts';
import { createLiveLogs } from './live-logs.ts';
import { type LiveTopic, LiveTopics } from './live-topics.ts';

const drv = newPath('followed-1.0');
const head = 'a'.repeat(40) as CommitSha;
const change = queuedChange('c1', { head });
let sequence = 0;
const recorded = (path = drv): RecordedTransition => {
  sequence += 1;
  return { ...step(path, 'buildable', 'building'), sequence };
};
const finished = (
  count: number,
  outcome: 'succeeded' | 'failed' = 'succeeded',
  etaS?: number,
): ReviewEvent => ({
  type: 'build-finished',
  drvPath: drv,
  name: 'followed-1.0',
  outcome,
  message: null,
  durationMs: 1,
  finished: count,
  total: 1000,
  ...(etaS === undefined ? {} : { etaS }),
});

describe('the live feed', () => {
  it.each<[string, LiveTopic, string[]]>([
    ['all builds', { resource: 'allbuilds' }, ['build', 'other-build', 'change_update']],
    ['a derivation', { resource: 'drv', id: drv }, ['build', 'log_line']],
    [
      'a change',
      { resource: 'change', id: 'c1' },
      ['build', 'change_progress', 'job_stats_update', 'job c1.0', 'job c1.1', 'change_update'],
    ],
    [
      'a commit',
      { resource: 'commit', id: head },
      ['build', 'job_stats_update', 'job c1.0', 'job c1.1', 'change_update'],
    ],
    ['a job', { resource: 'job', id: 'c1.1' }, ['build', 'job_stats_update', 'job c1.1', 'change_update']],
    ['another change', { resource: 'change', id: 'c2' }, []],
    ['another job', { resource: 'job', id: 'c10.1' }, []],
  ])('tells who follows %s what belongs to it, in order, each once', (_name, topic, expected) => {
    const feed = createLiveFeed();
    const heard: string[] = [];
    const hear = (json: Buffer): void => {
      const event = LiveEvent.parse(JSON.parse(json.toString('utf8')));
      if (event.type === 'build_state_change') heard.push(event.drvPath === drv ? 'build' : 'other-build');
      else heard.push(event.type === 'job_complete' ? `job ${event.jobId}` : event.type);
    };
    const reader = feed.join({
      maySee: () => true,
      maySeeDrv: () => true,
      take: (message) => hear(message.json()),
      onLines: () => reader.lines.read()?.batch.texts.forEach(hear),
    });
    reader.follow(topic);
    const judging = feed.judging(change);
    feed.recorded([recorded()], () => [change]);
    feed.recorded([recorded(newPath('other-1.0'))]);
    feed.logs.open({ drv, attempt: 1 }, { written: () => Promise.resolve() }).line('said');
    judging.progress(finished(1));
    judging.end();
    const job = { job: 'packages', conclusion: 'success', headline: 'fine' };
    feed.jobsJudged(change, [job, job]);
    feed.changeMoved(change);
    expect(heard).toEqual(expected);
    reader.unfollow(topic);
    feed.changeMoved(change);
    expect(heard).toEqual(expected);
    expect(feed.isFollowed()).toBe(false);
  });

  it('finds every reader of any topic once, whatever was followed and left before', () => {
    const topic = fc.constantFrom<LiveTopic[]>(
      { resource: 'allbuilds' },
      { resource: 'change', id: 'a' },
      { resource: 'change', id: 'b' },
      { resource: 'commit', id: 'a' },
      { resource: 'job', id: 'a.0' },
      { resource: 'job', id: 'a.1' },
      { resource: 'job', id: 'b.0' },
    );
    const topicNames = [
      'allbuilds',
      'change a',
      'change b',
      'commit a',
      'job a.0',
      'job a.1',
      'jobs a',
      'jobs b',
    ];
    const namesOf = (one: LiveTopic): string[] => {
      if (one.resource === 'allbuilds') return ['allbuilds'];
      const name = `${one.resource} ${one.id}`;
      return one.resource === 'job' ? [name, `jobs ${one.id.slice(0, 1)}`] : [name];
    };
    const action = fc.record({ reader: fc.integer({ min: 0, max: 3 }), topic, follows: fc.boolean() });
    fc.assert(
      fc.property(fc.array(action), fc.subarray(topicNames), (actions, asked) => {
        const topics = new LiveTopics<number>();
        const followed = new Map<string, [number, LiveTopic]>();
        for (const { reader, topic: one, follows } of actions) {
          const key = `${reader} ${JSON.stringify(one)}`;
          if (follows === followed.has(key)) continue;
          if (follows) topics.follow(reader, one);
          else topics.unfollow(reader, one);
          if (follows) followed.set(key, [reader, one]);
          else followed.delete(key);
        }
        const expected = [...followed.values()].filter(([, one]) =>
          namesOf(one).some((name) => asked.includes(name)),
        );
        const found = [...topics.readersOf(asked)];
        expect(found).toHaveLength(new Set(found).size);
        expect(new Set(found)).toEqual(new Set(expected.map(([reader]) => reader)));
        for (const name of topicNames) {
          const isFollowed = [...followed.values()].some(([, one]) => namesOf(one).includes(name));
          expect(topics.isFollowed(name)).toBe(isFollowed);
        }
      }),
    );
  });

  it('tells counts now and then, and the last of them at the end', () => {
    const told: JudgementProgress[] = [];
    const stats = createJobStats((one) => told.push(one));
    let progress = firstProgress;
    const take = (event: ReviewEvent): void => {
      progress = progressAfter(progress, event, 0);
      stats.take(progress);
    };
    take({ type: 'building', side: 'judged', toBuild: 1000, toSubstitute: 0 });
    for (let count = 1; count <= 999; count++) take(finished(count));
    take(finished(1000, 'failed'));
    expect(told).toMatchObject([{ stage: 'building', finished: 0, total: 1000, failed: 0 }]);
    stats.end();
    expect(told.at(-1)).toMatchObject({ finished: 1000, total: 1000, failed: 1 });
    stats.end();
    expect(told).toHaveLength(2);
  });

  it('knows of each change how far its judgement is, and of none that has ended', () => {
    let nowMs = 1000;
    const feed = createLiveFeed(() => nowMs);
    const [one, other] = [feed.judging(change), feed.judging(queuedChange('c2', { head }))];
    const waiting = { finished: 0, total: 0, failed: 0, etaSeconds: null };
    expect(feed.progressOf('c1')).toEqual({ stage: 'checking-out', ...waiting });
    const evaluating = { job: 'packages', side: 'base', evaluated: 1, failed: 0, known: 2 } as const;
    one.progress({ type: 'evaluating', ...evaluating, done: false });
    expect(feed.progressOf('c1')).toEqual({ stage: 'evaluating', ...waiting });
    one.progress({ type: 'building', side: 'judged', toBuild: 1000, toSubstitute: 0 });
    one.progress(finished(7, 'failed', 40));
    one.progress({ type: 'evaluating', ...evaluating, done: true });
    nowMs += 10_400;
    const counts = { finished: 7, total: 1000, failed: 1 };
    expect(feed.progressOf('c1')).toEqual({ stage: 'building', ...counts, etaSeconds: 30 });
    nowMs += 1_000_000;
    expect(feed.progressOf('c1')).toMatchObject({ etaSeconds: 0 });
    // What the judged tree took says nothing of its base.
    one.progress({ type: 'building', side: 'base', toBuild: 2, toSubstitute: 0 });
    expect(feed.progressOf('c1')).toMatchObject({ total: 1002, etaSeconds: null });
    one.progress({ type: 'build-started', drvPath: drv, name: 'followed-1.0', attempt: 1, etaS: 5 });
    expect(feed.progressOf('c1')).toMatchObject({ finished: 7, etaSeconds: 5 });
    expect(feed.progressOf('c2')).toEqual({ stage: 'checking-out', ...waiting });
    // It is judged again before its end was told.
    const again = feed.judging(change);
    one.end();
    expect(feed.progressOf('c1')).toEqual({ stage: 'checking-out', ...waiting });
    again.end();
    other.end();
    expect([feed.progressOf('c1'), feed.progressOf('c2')]).toEqual([null, null]);
  });
});

describe('a live log', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'live-logs-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('numbers the lines that are told as those of the file, which has them all once it is waited for', async () => {
    const text = fc.array(fc.constantFrom('a', 'é', '\n', '\r', '\u001b[1m', ' '), { maxLength: 8 });
    const said = fc.array(
      text.map((parts) => parts.join('')),
      { maxLength: 30 },
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(said, said, said, async (early, meanwhile, late) => {
        const path = join(folder, String(run++));
        const log = createLogFile({ path, maxBytes: 1024 * 1024 });
        let isFollowed = false;
        const told: { number: number; text: string }[] = [];
        const logs = createLiveLogs(() => ({
          isFollowed: () => isFollowed,
          tell: (line) => told.push(line),
        }));
        const followed = logs.open({ drv, attempt: 1 }, log);
        const say = (line: string): void => {
          log.write(line);
          followed.line(line);
        };
        early.forEach(say);
        isFollowed = true;
        meanwhile.forEach(say);
        await logs.written(drv);
        const read = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
        late.forEach(say);
        await log.close();
        followed.close();
        const all = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
        const joined = [
          ...read,
          ...told.filter(({ number }) => number > read.length).map((line) => line.text),
        ];
        expect(joined).toEqual(all);
      }),
      { numRuns: 60 },
    );
  });

  it('is cut to what is worth telling, between characters', () => {
    const told: { text: string; cut: boolean }[] = [];
    const logs = createLiveLogs(() => ({ isFollowed: () => true, tell: (line) => told.push(line) }));
    const log = logs.open({ drv, attempt: 1 }, { written: () => Promise.resolve() });
    log.line(`x${'😀'.repeat(1_000_000)}`);
    log.line('x'.repeat(16 * 1024));
    expect(told.map(({ cut, text }) => [cut, text.length, text.isWellFormed()])).toEqual([
      [true, 16 * 1024, true],
      [false, 16 * 1024, true],
    ]);
  });
});
