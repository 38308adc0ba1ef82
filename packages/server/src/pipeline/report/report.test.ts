// From what happens to a change to what its forge shows: on a real database, with a forge that fails as it is told.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeResult, Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { Gate } from '../../forge/gate.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { queuedChange } from '../testing/changes.ts';
import { changeIdOfGate, queuedGates } from './change-gates.ts';
import { type GateSender, type GateSenderEvent, startGateSender } from './gate-sender.ts';
import { createReporter, type Reporter } from './reporter.ts';

const head = 'b'.repeat(40) as CommitSha;
const request = {
  ...{
    host: 'forge.example',
    repository: 'me/set',
    repositoryId: 1,
    isPrivate: false,
    defaultBranch: 'main',
  },
  ...{ author: null, headBranch: 'topic', headRepository: null, isDraft: false },
};

const offered = (id: string, more: Partial<StoredChange> = {}): StoredChange =>
  queuedChange(id, {
    ...{
      kind: 'offered',
      repository: 'forge.example/me/set',
      number: 7,
      branch: 'pull/7',
      baseBranch: 'main',
    },
    ...{ head, requestJson: JSON.stringify(request) },
    ...more,
  });

const summary = {
  ...{ conclusion: 'failure', headline: 'Do not merge: 1 package newly fails' },
  jobs: [
    {
      ...{ job: 'packages', conclusion: 'failure', headline: '1 newly fails', notJudged: null },
      file: 'default.nix',
      outcomes: [
        { kind: 'still-failing', attr: 'old', reason: null, culprit: null, logTail: [], reproduce: null },
        {
          ...{ kind: 'newly-failing', attr: 'curl', reason: 'exit 1 @everyone', culprit: { name: 'zlib' } },
          ...{ logTail: ['```', '</details> no'], reproduce: 'nix-build -A curl' },
          position: { file: 'pkgs/curl.nix', line: 7, column: 1 },
        },
      ],
    },
  ],
};
const judged: ChangeResult = {
  state: 'judged',
  base: null,
  judgedTree: 'd'.repeat(40) as TreeSha,
  title: 't',
  conclusion: 'failure',
  summaryJson: JSON.stringify(summary),
  markdown: '# What changes',
};

let database: Database;
let reporter: Reporter;
let sender: GateSender | null;
let nowMs: number;
const events: GateSenderEvent[] = [];
/** What the forge shows, by the name of the gate. */
const shown = new Map<string, Gate>();
/** Thrown by the next calls. */
const faults: Error[] = [];

const shownForge: Pick<HostedForge, 'host' | 'putGate'> = {
  host: 'forge.example',
  putGate: (_place, gate) => {
    const fault = faults.shift();
    if (fault !== undefined) return Promise.reject(fault);
    shown.set(gate.name, gate);
    return Promise.resolve(shown.size);
  },
};
// Nothing else of it is asked here.
const forge = shownForge as HostedForge;

const open = (): Reporter =>
  createReporter({
    database,
    hosts: [forge.host],
    publicUrl: 'https://ci.example',
    clock: () => nowMs,
    wake: () => sender?.wake(),
    onFault: (error) => {
      throw error;
    },
  });

const send = (): GateSender => {
  sender = startGateSender({
    database,
    forges: [forge],
    owner: 'server',
    clock: () => nowMs,
    random: () => 0.5,
    onEvent: (event) => events.push(event),
    idleMs: 5,
  });
  return sender;
};

beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  nowMs = 1_000_000;
  sender = null;
  for (const list of [events, faults]) list.length = 0;
  shown.clear();
  reporter = open();
});
afterEach(async () => {
  await reporter.settled();
  await sender?.stop();
  await database.close();
});

const titles = (): Record<string, string> =>
  Object.fromEntries(
    [...shown].map(([name, { state, title }]) => {
      const is = state.kind === 'concluded' ? state.conclusion : state.kind;
      return [name, `${is}: ${title}`];
    }),
  );

const take = async (id: string): Promise<StoredChange> => {
  await database.changes.save(offered(id));
  const row = await database.changes.find(id);
  if (row === null) throw new Error('no row');
  reporter.queued([row]);
  return row;
};

const finish = async (change: StoredChange, result: ChangeResult): Promise<void> => {
  await database.changes.save({
    ...change,
    ...(result.state === 'judged'
      ? { state: 'judged', summaryJson: result.summaryJson, markdown: result.markdown }
      : { state: 'failed', fault: result.fault }),
    conclusion: result.conclusion,
  });
  reporter.judging({ kind: 'finished', change, result });
};

const evaluating: ReviewEvent = {
  ...{ type: 'evaluating', job: 'packages', side: 'judged' },
  ...{ evaluated: 1, failed: 0, known: 1, done: false },
};

describe('what a forge shows of a change', () => {
  it('follows it from its queue to its verdict', async () => {
    send();
    const change = await take('c1');
    await expect.poll(titles).toEqual({ EkaCI: 'queued: Waiting to be judged' });
    reporter.judging({ kind: 'started', change });
    reporter.progress(change, evaluating);
    await expect.poll(titles).toEqual({
      EkaCI: 'in-progress: Being evaluated',
      'EkaCI: packages': 'in-progress: Being evaluated',
    });
    const counts = { added: 2, removed: 0, changed: 3, unchanged: 9, rebuilds: 5 };
    reporter.progress(change, { type: 'planned', job: 'packages', ...counts });
    await expect.poll(titles).toMatchObject({
      'EkaCI: packages': 'in-progress: 5 rebuilds, 2 added, 0 removed',
    });
    await finish(change, judged);
    await expect.poll(titles).toEqual({
      EkaCI: 'failure: Do not merge: 1 package newly fails',
      'EkaCI: packages': 'failure: 1 newly fails',
      'EkaCI change summary': 'neutral: Do not merge: 1 package newly fails',
      'EkaCI: packages: curl': 'failure: It newly fails to build',
    });
    const failure = shown.get('EkaCI: packages: curl')?.summary ?? '';
    expect(failure).toMatch(/^Because of `zlib`\./);
    // Whatever was printed stays in its block.
    expect(failure).toContain('````\n```\n</details> no\n````');
    const message = 'Because of zlib.\nexit 1 @everyone\nThe end of its log is in the text of the gate.';
    expect(shown.get('EkaCI: packages: curl')?.annotations).toEqual([
      {
        ...{ path: 'pkgs/curl.nix', startLine: 7, endLine: 7, level: 'failure' },
        ...{ title: 'curl: It newly fails to build', message },
      },
    ]);
    expect(shown.get('EkaCI change summary')).toMatchObject({
      headSha: head,
      summary: '# What changes',
      detailsUrl: 'https://ci.example/v1/prs/github/me/set/7',
    });
    expect(changeIdOfGate(shown.get('EkaCI')?.externalId ?? '')).toBe('c1');
  });

  it('says what kept it from being judged, and that it is tried again', async () => {
    send();
    const change = await take('c1');
    reporter.judging({ kind: 'started', change });
    reporter.progress(change, evaluating);
    reporter.judging({ kind: 'retries', change, fault: 'GIT_TIMEOUT: the remote is slow', retryAtMs: 1 });
    await expect.poll(titles).toMatchObject({ EkaCI: 'in-progress: Tried again soon: GIT_TIMEOUT' });
    reporter.judging({ kind: 'started', change });
    reporter.progress(change, evaluating);
    await finish(change, { state: 'failed', conclusion: 'failure', fault: 'MERGE_CONFLICT: rebase it' });
    await expect.poll(titles).toEqual({
      EkaCI: 'failure: It could not be judged: MERGE_CONFLICT',
      'EkaCI: packages': 'cancelled: Not judged to its end',
    });
    expect(shown.get('EkaCI')?.summary).toBe('```\nMERGE_CONFLICT: rebase it\n```');
  });

  it('points at what cannot be evaluated, or read', async () => {
    send();
    const change = await take('c1');
    const [job] = summary.jobs;
    const position = { file: 'lib/broken.nix', line: 3, column: 9 };
    const unevaluated = { ...job, notJudged: 'syntax error', position, outcomes: [] };
    await finish(change, { ...judged, summaryJson: JSON.stringify({ ...summary, jobs: [unevaluated] }) });
    await expect
      .poll(() => shown.get('EkaCI: packages')?.annotations)
      .toMatchObject([{ path: 'lib/broken.nix', startLine: 3, message: 'syntax error' }]);
    const fault = 'CONFIG_INVALID: .eka-ci/config.json:2:5: no value';
    await finish(change, { state: 'failed', conclusion: 'failure', fault });
    await expect
      .poll(() => shown.get('EkaCI')?.annotations)
      .toMatchObject([{ path: '.eka-ci/config.json', startLine: 2, message: fault }]);
  });

  it('says so of a package that does not fail any more, when it is judged again', async () => {
    send();
    const change = await take('c1');
    await finish(change, judged);
    await expect.poll(titles).toMatchObject({ 'EkaCI: packages: curl': 'failure: It newly fails to build' });
    const [job] = summary.jobs;
    const well = { ...summary, conclusion: 'success', headline: 'ok', jobs: [{ ...job, outcomes: [] }] };
    await finish(change, { ...judged, summaryJson: JSON.stringify(well) });
    await expect
      .poll(titles)
      .toMatchObject({ 'EkaCI: packages: curl': 'success: It does not fail any more' });
  });

  it('shows at most 47 packages that fail, the same ones each time', async () => {
    send();
    const change = await take('c1');
    const [job] = summary.jobs;
    const [, failed] = job?.outcomes ?? [];
    const outcomes = Array.from({ length: 60 }, (_, at) => ({ ...failed, attr: `p${at}` }));
    const many = { ...judged, summaryJson: JSON.stringify({ ...summary, jobs: [{ ...job, outcomes }] }) };
    const failures = () => [...shown.keys()].filter((name) => name.startsWith('EkaCI: packages: '));
    await finish(change, many);
    await expect.poll(() => failures().length).toBe(47);
    const first = failures().toSorted();
    await finish(change, many);
    await reporter.settled();
    expect(failures().toSorted()).toEqual(first);
  });

  it('ends what nobody wants judged any more', async () => {
    send();
    const change = await take('c1');
    reporter.judging({ kind: 'started', change });
    reporter.progress(change, evaluating);
    await expect.poll(() => shown.size).toBe(2);
    await database.changes.save({ ...change, state: 'superseded' });
    reporter.ended(['c1', 'unknown']);
    await expect.poll(titles).toEqual({
      EkaCI: 'cancelled: Not judged to its end',
      'EkaCI: packages': 'cancelled: Not judged to its end',
    });
    // One that is queued again is told of when it is judged.
    reporter.judging({ kind: 'stopped', change, reason: 'server-ends' });
    await reporter.settled();
    expect(titles()).toMatchObject({ EkaCI: 'cancelled: Not judged to its end' });
  });

  it('is brought up to date by the next life of the server', async () => {
    const change = await take('c1');
    await reporter.settled();
    await database.changes.save({ ...change, state: 'closed' });
    const second = offered('c2', { number: 8, branch: 'pull/8', head: 'c'.repeat(40) as CommitSha });
    await database.changes.save(second);
    reporter.queued([second]);
    await reporter.settled();
    // It died before it could tell of either.
    reporter = open();
    await reporter.reconcile();
    send();
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['sent', 'sent']);
    const states = events.map((event) =>
      'gate' in event ? [event.gate.headSha[0], event.gate.isConcluded] : [],
    );
    expect(Object.fromEntries(states)).toEqual({ b: true, c: false });
  });

  it('carries the base branch in its names where that is not the usual one', () => {
    const common = { id: 'c', head, defaultBranch: 'main', detailsUrl: null };
    const namesFor = (baseBranch: string | null) =>
      queuedGates({ ...common, baseBranch }).map(({ name }) => name);
    expect([namesFor('main'), namesFor('staging')]).toEqual([['EkaCI'], ['EkaCI (→ staging)']]);
  });
});

describe('the way to the forge', () => {
  const passing = (retryAtMs: number | null = null): Error =>
    Object.assign(new Error('down'), { code: 'GITHUB_FAULT', mayPass: true, retryAtMs });

  it('is tried again later and later, not before the forge says, and only the newest state is sent', async () => {
    faults.push(passing(), passing(nowMs + 60_000));
    send();
    const change = await take('c1');
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['put-off']);
    expect(events[0]).toMatchObject({ retryAtMs: nowMs + 2000 });
    nowMs += 2000;
    await expect.poll(() => events.length).toBe(2);
    expect(events[1]).toMatchObject({ kind: 'put-off', retryAtMs: 1_000_000 + 60_000 });
    await finish(change, judged);
    nowMs += 60_000;
    await expect.poll(() => shown.size).toBe(4);
    expect([...shown.values()].filter(({ state }) => state.kind !== 'concluded')).toEqual([]);
  });

  it('is given up where the forge refuses, until something else is to be shown', async () => {
    faults.push(
      Object.assign(new Error('no'), { code: 'GITHUB_FORBIDDEN', mayPass: false, retryAtMs: null }),
    );
    send();
    const change = await take('c1');
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['given-up']);
    nowMs += 3_600_000;
    reporter.judging({ kind: 'started', change });
    await expect.poll(titles).toEqual({ EkaCI: 'in-progress: Being evaluated' });
  });

  it('is gone again where somebody has changed what kept the forge from taking it', async () => {
    const refused = { code: 'GITHUB_FORBIDDEN', mayPass: false, retryAtMs: null };
    faults.push(Object.assign(new Error('no'), refused), Object.assign(new Error('no'), refused));
    send();
    await take('c1');
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['given-up']);
    reporter.accessChanged('another.example');
    reporter.accessChanged(forge.host);
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['given-up', 'given-up']);
    // Or has changed it while the server was away.
    reporter = open();
    await reporter.reconcile();
    await expect.poll(titles).toEqual({ EkaCI: 'queued: Waiting to be judged' });
  });
});
