// Gates of checks, from what is told of them while they run to what their change came to.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChangeResult, Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { queuedChange } from '../testing/changes.ts';
import { changeIdOfGate, checkNameOfGate, isFailureGate, isSummaryGate } from './change-gates.ts';
import { readGate } from './kept-gate.ts';
import { createReporter, type Reporter } from './reporter.ts';

const headSha = 'b'.repeat(40) as CommitSha;
const host = 'forge.example';
const repository = 'me/set';
const request = {
  ...{ host, repository, repositoryId: 1, isPrivate: false, defaultBranch: 'main' },
  ...{ author: null, headBranch: 'topic', headRepository: null, isDraft: false },
};

let database: Database;
let reporter: Reporter;
let change: StoredChange;
beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  reporter = createReporter({
    ...{ database, hosts: [host], publicUrl: 'https://ci.example', clock: () => 1, wake: () => {} },
    onFault: (error) => {
      throw error;
    },
  });
  change = queuedChange('c1', {
    ...{ kind: 'offered', repository: `${host}/${repository}`, number: 7, branch: 'pull/7' },
    ...{ baseBranch: 'main', head: headSha, requestJson: JSON.stringify(request) },
  });
  await database.changes.save(change);
});
afterEach(async () => {
  await reporter.settled();
  await database.close();
});

const gates = async () => {
  await reporter.settled();
  const stored = await database.gates.ofHead({ host, repository, headSha });
  return stored.flatMap((one) => readGate(one)?.gate ?? []);
};
const shown = async (): Promise<Record<string, string>> => {
  const own = (await gates()).filter(({ externalId }) => checkNameOfGate(externalId) !== null);
  return Object.fromEntries(
    own.map(({ name, state, title }) => [
      name.slice('EkaCI check: '.length),
      `${state.kind === 'concluded' ? state.conclusion : state.kind}: ${title}`,
    ]),
  );
};

const finished = (check: string, outcome: 'passed' | 'failed' | 'timed-out' | 'refused'): ReviewEvent => {
  const told = {
    id: `id-${check}`,
    reason: outcome === 'passed' ? null : `why \`${check}\``,
    durationMs: 1500,
  };
  return { type: 'check-finished', check, outcome, ...told, outputTail: ['```', '@everyone'], kept: false };
};

it('goes with each check, concluded as soon as that is, and stays so when the change is judged', async () => {
  reporter.judging({ kind: 'started', change });
  for (const check of ['fmt', 'a: b/c', 'slow']) reporter.progress(change, { type: 'check-queued', check });
  reporter.progress(change, { type: 'check-started', check: 'fmt', id: 'id-fmt' });
  const waiting = 'queued: Waiting for its turn';
  expect(await shown()).toEqual({ fmt: 'in-progress: Running', 'a: b/c': waiting, slow: waiting });
  reporter.progress(change, finished('fmt', 'failed'));
  expect(await shown()).toMatchObject({ fmt: 'failure: Failed after 1.5 s' });
  const gate = (await gates()).find(({ name }) => name === 'EkaCI check: fmt');
  expect(gate?.summary).toBe('```\nwhy `fmt`\n```\n\nThe end of its output:\n````\n```\n@everyone\n````');
  expect(gate?.detailsUrl).toBe('https://ci.example/v1/checks/id-fmt/log');
  const { externalId = '' } = (await gates()).find(({ name }) => name === 'EkaCI check: a: b/c') ?? {};
  expect([changeIdOfGate(externalId), checkNameOfGate(externalId)]).toEqual(['c1', 'a: b/c']);

  const checks = [finished('fmt', 'failed'), finished('slow', 'timed-out'), finished('a: b/c', 'refused')];
  const summary = {
    ...{ conclusion: 'failure', headline: 'Do not merge.', jobs: [] },
    checks: checks.map((event) => ({ ...event, name: 'check' in event ? event.check : '' })),
  };
  const kept = {
    title: 't',
    conclusion: 'failure',
    summaryJson: JSON.stringify(summary),
    markdown: '',
  } as const;
  const judgedTree = 'd'.repeat(40) as TreeSha;
  const result: ChangeResult = { state: 'judged', base: null, judgedTree, ...kept };
  await database.changes.save({ ...change, state: 'judged', judgedTree, ...kept });
  reporter.judging({ kind: 'finished', change, result });
  expect(await shown()).toEqual({
    fmt: 'failure: Failed after 1.5 s',
    slow: 'timed-out: Timed out after 1.5 s',
    'a: b/c': 'failure: Not run',
  });
});

it('is of a check, whatever that is called', async () => {
  reporter.judging({ kind: 'started', change });
  const names = ['x/failure:y', 'failure:y', 'x/summary', 'summary'];
  for (const check of names) reporter.progress(change, { type: 'check-queued', check });
  expect(Object.keys(await shown()).toSorted()).toEqual(names.toSorted());
  const own = (await gates()).filter(({ name }) => name.startsWith('EkaCI check: '));
  expect(own.filter(({ externalId }) => isFailureGate(externalId) || isSummaryGate(externalId))).toEqual([]);
});

it('does not stay pending where the change is not judged to its end', async () => {
  reporter.judging({ kind: 'started', change });
  reporter.progress(change, { type: 'check-started', check: 'fmt', id: 'id-fmt' });
  expect(await shown()).toEqual({ fmt: 'in-progress: Running' });
  await database.changes.save({ ...change, state: 'closed' });
  reporter.judging({ kind: 'stopped', change, reason: 'not-wanted' });
  expect(await shown()).toEqual({ fmt: 'cancelled: Not judged to its end' });
});
