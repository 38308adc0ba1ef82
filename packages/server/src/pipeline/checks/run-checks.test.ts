// Checks through a scripted sandbox, on a real database: who runs what, how often, and what is kept of it.
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JudgedCheck } from '@eka-ci/core/check-outcome';
import type { StorePath, TreeSha } from '@eka-ci/core/ids';
import type { System } from '@eka-ci/nix/system-programs';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createSecretMask } from '../../lib/secret-mask.ts';
import type { Sandbox, SandboxedRun, SandboxResult } from '../../sandbox/sandbox.ts';
import { JudgementStopped } from '../judge-loop.ts';
import type { AskedCheck } from './asked-checks.ts';
import { type CheckStage, type ChecksToRun, createCheckStage, runChecks } from './run-checks.ts';

let folder: string;
let database: Database;
let now: number;
let events: ReviewEvent[];
/** Of a test, so that all can share a database. */
let changeId: string;
let tree: TreeSha;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-checks-'));
  database = await openWarmDatabase({ path: join(folder, 'db'), durability: 'process-death' });
});
beforeEach(() => {
  changeId = randomUUID();
  tree = randomUUID() as string as TreeSha;
  now = 1000;
  events = [];
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

type Script = (asked: SandboxedRun, signal: AbortSignal) => Promise<SandboxResult> | SandboxResult;

const ended = (status: number): SandboxResult => ({ kind: 'ended', status, durationMs: 5 });

const untilCancelled = (signal: AbortSignal, onStart: () => void = () => {}): Promise<SandboxResult> =>
  new Promise((resolve) => {
    const end = (): void => resolve({ kind: 'cancelled', durationMs: 1 });
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
    onStart();
  });

/** What the command says is its status, and it prints what it is. */
const byCommand: Script = ({ command, onOutput }) => {
  const asked = command.at(-1) ?? '';
  onOutput(Buffer.from(`ran ${asked}\n`));
  return ended(Number(asked));
};

const scripted = (script: Script) => {
  const runs: SandboxedRun[] = [];
  let atOnce = 0;
  let most = 0;
  const sandbox: Sandbox = {
    check: () => Promise.resolve({ kind: 'works', bounds: [] }),
    async run(asked, signal) {
      runs.push(asked);
      atOnce += 1;
      most = Math.max(most, atOnce);
      try {
        return await script(asked, signal);
      } finally {
        atOnce -= 1;
      }
    },
  };
  return { sandbox, runs, most: () => most };
};

const systemPaths = ['/nix/store/system' as StorePath];
const networkPaths = ['/nix/store/certificates' as StorePath];
const programs = { searchPath: '/bin', storePaths: systemPaths };
const system: System = {
  programs: () => Promise.resolve(programs),
  network: () => Promise.resolve([...systemPaths, ...networkPaths]),
};

const stageOn = (sandbox: Sandbox, more: Partial<CheckStage> = {}, atOnce = 3): CheckStage =>
  createCheckStage({
    sandbox,
    runs: database.checkRuns,
    logs: { folder: join(folder, 'logs'), maxBytes: 4096, mask: createSecretMask(['hunter2hunter2']) },
    limits: { maxMemoryMib: 10, maxCpuSeconds: 10, maxProcesses: 10, maxOutputMib: 1 },
    ...{ system, maxTimeoutMs: 86_400_000, keepPath: () => Promise.resolve() },
    failureMaxAgeMs: 500,
    logUrlOf: (id) => `https://ci.example/${id}`,
    clock: () => now,
    atOnce,
    ...more,
  });

const check = (name: string, command = '0', more: Partial<AskedCheck> = {}): AskedCheck => ({
  ...{ name, command, shell: null, network: 'none', timeoutMs: 1000 },
  ...more,
});

const asked = (checks: readonly AskedCheck[], more: Partial<ChecksToRun> = {}): ChecksToRun => ({
  changeId,
  rank: 1,
  ...{ checks, programs },
  ground: {
    ...{ tree, rev: 'r', system: 'x86_64-linux', nixVersion: '2' },
    ...{
      searchPath: '/bin',
      limits: { maxMemoryMib: 1, maxCpuSeconds: 1, maxProcesses: 1, maxOutputMib: 1 },
    },
  },
  exportTree: () => Promise.resolve('/tree'),
  environmentOf: () => Promise.resolve({ kind: 'failed', reason: 'shell.nix cannot be evaluated: no' }),
  untilOpen: () => Promise.resolve(),
  onEvent: (event) => events.push(event),
  ...more,
});

const never = new AbortController().signal;
const outcomes = (judged: readonly JudgedCheck[]) =>
  judged.map(({ name, outcome, kept }) => `${name} ${outcome}${kept ? ' kept' : ''}`);
const statesOf = async (id: string) =>
  (await database.checkRuns.ofChange(id)).map(({ name, state }) => `${name} ${state}`);

it('runs each once and keeps what came of it: also for another change that asks the same', async () => {
  const { sandbox, runs } = scripted(byCommand);
  const stage = stageOn(sandbox);
  const checks = [check('ill', '3'), check('well'), check('net', '0', { network: 'unallowed' })];
  const first = await runChecks(stage, asked(checks), never);
  expect(outcomes(first)).toEqual(['ill failed', 'well passed', 'net refused']);
  expect(first[0]).toMatchObject({ status: 3, reason: 'it ended with status 3', outputTail: ['ran 3'] });
  expect(first[0]?.logUrl).toBe(`https://ci.example/${first[0]?.id}`);
  const again = await runChecks(stage, asked(checks, { changeId: `${changeId}2` }), never);
  expect(outcomes(again)).toEqual(['ill failed kept', 'well passed kept', 'net refused']);
  expect(runs.length).toBe(2);
  const [kept] = await database.checkRuns.ofChange(`${changeId}2`);
  const [own] = await database.checkRuns.ofChange(changeId);
  expect(kept).toMatchObject({ logFile: own?.logFile, outputTail: ['ran 3'] });
  expect(await readFile(join(folder, 'logs', own?.logFile ?? ''), 'utf8')).toBe('ran 3\n');
  // A failure is not believed for ever; nor anything of another tree, command, or allowance.
  now += 501;
  expect(outcomes(await runChecks(stage, asked(checks), never))[0]).toBe('ill failed');
  const others = [
    check('well', '0', { network: 'allowed' }),
    check('well', '00'),
    check('well', '0', { timeoutMs: 2 }),
  ];
  for (const other of others) {
    expect(outcomes(await runChecks(stage, asked([other]), never))).toEqual(['well passed']);
  }
  const withNetwork = { allowNetwork: true, storePaths: [...systemPaths, ...networkPaths] };
  expect(runs.at(-3)).toMatchObject({ ...withNetwork, tree: '/tree', limits: { timeoutMs: 1000 } });
  expect(runs.at(-2)).toMatchObject({ allowNetwork: false, storePaths: systemPaths });
});

it('lets two that ask the same at once share one run, and no more run at once than may', async () => {
  const two = Promise.withResolvers<void>();
  const { sandbox, runs, most } = scripted(async (one) => {
    if (runs.length === 2) two.resolve();
    await two.promise;
    return byCommand(one, never);
  });
  const stage = stageOn(sandbox);
  const commands = ['0', '00', '000', '0000'];
  const of = (id: string) =>
    asked(
      commands.map((command) => check(command, command)),
      { changeId: id },
    );
  const ids = [changeId, `${changeId}2`];
  const judged = (await Promise.all(ids.map((id) => runChecks(stage, of(id), never)))).flat();
  expect(runs.length).toBe(4);
  expect(most()).toBe(2);
  expect(judged.filter(({ kept }) => kept).length).toBe(4);
  expect(stage.asking.size).toBe(0);
});

it('ends with its change: cancelled where nobody wants it, else interrupted and run again', async () => {
  for (const [reason, state] of [
    ['not-wanted', 'cancelled'],
    ['server-ends', 'interrupted'],
  ] as const) {
    const started = Promise.withResolvers<void>();
    const { sandbox } = scripted((_, signal) => untilCancelled(signal, started.resolve));
    const cancel = new AbortController();
    const running = runChecks(stageOn(sandbox), asked([check('a'), check('b', '00')]), cancel.signal);
    await started.promise;
    cancel.abort(new JudgementStopped(reason));
    await expect(running).rejects.toBe(cancel.signal.reason);
    expect(await statesOf(changeId)).toEqual([`a ${state}`, `b ${state}`]);
  }
  const { sandbox } = scripted(byCommand);
  expect(outcomes(await runChecks(stageOn(sandbox), asked([check('a')]), never))).toEqual(['a passed']);
});

it('runs again what was under way when the server was killed', async () => {
  const { checkRuns } = database;
  const question = 'q';
  await checkRuns.queue({ id: 'k1', changeId, name: 'a', question, queuedAtMs: 1 });
  await checkRuns.start('k1', 'x.log');
  await checkRuns.interruptAll(now);
  const { sandbox, runs } = scripted(byCommand);
  expect(outcomes(await runChecks(stageOn(sandbox), asked([check('a')]), never))).toEqual(['a passed']);
  expect(runs.length).toBe(1);
  expect(await statesOf(changeId)).toEqual(['a passed']);
});

it('says in words what kept it from passing, and believes only what another run would come to as well', async () => {
  const results: readonly (readonly [SandboxResult, string, RegExp, boolean])[] = [
    [{ kind: 'timed-out', durationMs: 9 }, 'timed-out', /1 s \(timeout_seconds\)/, false],
    [{ kind: 'output-limit', durationMs: 9 }, 'failed', /more than 1 MiB \(sandbox\.max_output_mib\)/, true],
    [{ kind: 'out-of-memory', durationMs: 9 }, 'failed', /more than 10 MiB of memory/, false],
    [{ kind: 'process-limit', durationMs: 9 }, 'failed', /more than 10 processes/, false],
    [{ kind: 'signalled', signal: 'SIGSEGV', durationMs: 9 }, 'failed', /ended by SIGSEGV/, false],
    [
      { kind: 'refused', why: 'no user namespaces' },
      'refused',
      /nothing is run without: no user namesp/,
      false,
    ],
  ];
  for (const [index, [result, outcome, reason, isKept]] of results.entries()) {
    const { sandbox } = scripted(() => result);
    const one = [check('x', String(index))];
    const [judged] = await runChecks(stageOn(sandbox), asked(one), never);
    expect(judged?.outcome).toBe(outcome);
    expect(judged?.reason).toMatch(reason);
    const [again] = await runChecks(stageOn(sandbox), asked(one), never);
    expect(again?.kept).toBe(isKept);
  }
});

it('fails where its shell does, without the sandbox; each shell is made once', async () => {
  const { sandbox, runs } = scripted(byCommand);
  let made = 0;
  const shells = asked(
    ['a', 'b'].map((name) => check(name, '0', { shell: { kind: 'file', attrPath: [] } })),
    {
      environmentOf: () => {
        made += 1;
        return Promise.resolve({ kind: 'failed', reason: 'no: hunter2hunter2' });
      },
    },
  );
  const judged = await runChecks(stageOn(sandbox), shells, never);
  expect(judged.map(({ outcome, reason }) => [outcome, reason])).toEqual([
    ['failed', 'no: [redacted]'],
    ['failed', 'no: [redacted]'],
  ]);
  expect([made, runs.length]).toEqual([1, 0]);
});

it('throws what a shell cannot be asked for, and leaves nothing running or open', async () => {
  const { sandbox } = scripted((_, signal) => untilCancelled(signal));
  const fault = new Error('the store does not answer');
  const checks = [check('a'), check('b', '0', { shell: { kind: 'flake', name: 'x' } })];
  const running = runChecks(
    stageOn(sandbox),
    asked(checks, { environmentOf: () => Promise.reject(fault) }),
    never,
  );
  await expect(running).rejects.toBe(fault);
  expect(await statesOf(changeId)).toEqual(['a interrupted', 'b interrupted']);
});

it('keeps head and tail of what is printed without end, masked, and tells the newest of it', async () => {
  const { sandbox } = scripted(({ onOutput }) => {
    for (let line = 1; line <= 5000; line++) onOutput(Buffer.from(`line ${line}\nhunter2`));
    onOutput(Buffer.from('hunter2 at the end'));
    return ended(1);
  });
  const [judged] = await runChecks(stageOn(sandbox), asked([check('loud', '1')]), never);
  expect(judged?.outputTail.slice(-2)).toEqual(['hunter2line 5000', '[redacted] at the end']);
  const [run] = await database.checkRuns.ofChange(changeId);
  const log = await readFile(join(folder, 'logs', run?.logFile ?? ''), 'utf8');
  expect(log.length).toBeLessThanOrEqual(4096);
  expect(log).toMatch(/^line 1\n[^]*left out [^]*\[redacted\] at the end\n$/);
  const spoken = events.flatMap((event) => (event.type === 'check-output' ? [event] : []));
  expect(spoken.at(-1)?.lines.at(-1)).toBe('[redacted] at the end');
  expect((spoken.at(-1)?.line ?? 0) + (spoken.at(-1)?.lines.length ?? 0)).toBe(5002);
  expect(events.map(({ type }) => type).filter((type) => type !== 'check-output')).toEqual([
    'check-queued',
    'check-started',
    'check-finished',
  ]);
});
