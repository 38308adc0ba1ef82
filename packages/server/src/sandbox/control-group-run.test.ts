import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ourControlGroup } from './control-group.ts';
import { type ControlGroupHost, makeRunGroup, type RunGroup } from './control-group-run.ts';
import { createLocalSandbox } from './local/local-sandbox.ts';
import { runScript } from './sandbox.contract.ts';

const mib = 1024 * 1024;
const bounds = { maxMemoryMib: 64, maxProcesses: 20 };
const containing = (text: string): unknown => expect.stringContaining(text);

/** What the kernel puts into a group. */
const filesOfGroup = {
  'cgroup.controllers': 'cpu memory pids\n',
  'cgroup.subtree_control': '\n',
  'cgroup.procs': '',
  'cgroup.events': 'populated 0\nfrozen 0\n',
  'cgroup.kill': '',
  'cpu.stat': 'usage_usec 0\nuser_usec 0\n',
  'memory.max': 'max\n',
  'memory.swap.max': 'max\n',
  'memory.oom.group': '0\n',
  'memory.stat': 'anon 0\nfile 0\nkernel 0\n',
  'memory.events': 'low 0\nmax 9\noom 0\noom_kill 0\noom_group_kill 0\n',
  'pids.max': 'max\n',
  'pids.events': 'max 0\n',
};

type Files = Partial<Record<keyof typeof filesOfGroup, string>>;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'eka-ci-cgroup-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const groups = (): string => join(root, 'sys/fs/cgroup');
const textOf = (...path: string[]): string => readFileSync(join(groups(), ...path), 'utf8');

const makeFakeGroup = (path: string, files: Files = {}): void => {
  mkdirSync(path);
  for (const [name, text] of Object.entries({ ...filesOfGroup, ...files }))
    writeFileSync(join(path, name), text);
};

const fakeProcess = (pid: number, start: number): void => {
  mkdirSync(join(root, `proc/${pid}`), { recursive: true });
  writeFileSync(join(root, `proc/${pid}/stat`), `${pid} (a (b) c) S ${'0 '.repeat(18)}${start} 0 0\n`);
};

/** A machine whose runner, 42, is in that group. */
const fakeMachine = (ours: string, host: Partial<ControlGroupHost> = {}): ControlGroupHost => {
  mkdirSync(join(root, 'proc/self/ns'), { recursive: true });
  symlinkSync('pid:[7]', join(root, 'proc/self/ns/pid'));
  writeFileSync(join(root, 'proc/self/cgroup'), `5:devices:/x\n0::${ours}\n`);
  fakeProcess(42, 1000);
  mkdirSync(groups(), { recursive: true });
  return {
    ...{ root, pid: 42, isRoot: false, makeGroup: makeFakeGroup },
    removeGroup: (path) => {
      if (readFileSync(join(path, 'cgroup.kill'), 'utf8') !== '1') throw new Error('EBUSY');
      rmSync(path, { recursive: true });
    },
    ...host,
  };
};

const unit = 'eka-ci-sandbox@1.service';
const groupsIn = (...path: string[]): string[] =>
  readdirSync(join(groups(), ...path)).filter((name) => name.startsWith('eka-ci-run-'));

const made = async (host: ControlGroupHost): Promise<RunGroup> => {
  const outcome = await makeRunGroup(bounds, host);
  if (outcome.kind === 'none') throw new Error(outcome.why);
  return outcome.group;
};

describe('a control group for a run', () => {
  it('lies beside the runner, who moves out of a group that it is alone in', async () => {
    const host = fakeMachine(`/${unit}`);
    makeFakeGroup(join(groups(), unit), { 'cgroup.procs': '42\n' });
    await made(host);
    expect(textOf(unit, 'eka-ci-runner', 'cgroup.procs')).toBe('42');
    // Each is written for itself, and the kernel adds it to those before.
    expect(textOf(unit, 'cgroup.subtree_control')).toBe('+cpu');
    const [run = ''] = groupsIn(unit);
    expect(run).toMatch(/^eka-ci-run-7-42-1000-/);
    const texts = ['memory.max', 'memory.swap.max', 'memory.oom.group', 'pids.max'].map((name) =>
      textOf(unit, run, name),
    );
    // As much again for files that it reads; and two of the processes are bubblewrap's.
    expect(texts).toEqual([String(128 * 1024 * 1024), '0', '1', '22']);
  });

  it.each([
    ['below a unit', `${unit}/server`, true],
    ['where a runner moved to', 'container/eka-ci-runner', false],
  ])('lies beside whoever is %s already', async (_name, ours, isRoot) => {
    const host = fakeMachine(`/${ours}`, { isRoot });
    const parent = dirname(ours);
    makeFakeGroup(join(groups(), parent), { 'cgroup.subtree_control': 'cpu memory pids\n' });
    makeFakeGroup(join(groups(), ours), { 'cgroup.procs': '1\n2\n42\n' });
    await made(host);
    expect(groupsIn(parent)).toHaveLength(1);
    expect(textOf(parent, 'cgroup.subtree_control')).toBe('cpu memory pids\n');
    expect(textOf(ours, 'cgroup.procs')).toBe('1\n2\n42\n');
  });

  const alone = { 'cgroup.procs': '42\n' };
  const readOnly = {
    makeGroup: () => {
      throw new Error('EROFS: read-only file system');
    },
  };
  it.each<[string, string, Files | null, Partial<ControlGroupHost>, string]>([
    ['the hierarchy is of version 1', `/${unit}`, null, {}, 'version 2'],
    ['ours is outside of what we see', `/../${unit}`, alone, {}, 'version 2'],
    [
      'controllers are missing',
      `/${unit}`,
      { ...alone, 'cgroup.controllers': 'cpu pids\n' },
      {},
      'Delegate=',
    ],
    ['others are in the group', `/${unit}`, { 'cgroup.procs': '41\n42\n' }, {}, 'DelegateSubgroup='],
    ['nobody says what is delegated to root', `/${unit}`, alone, { isRoot: true }, 'DelegateSubgroup='],
    ['the files are read-only', `/${unit}`, alone, readOnly, 'EROFS'],
    [
      'the kernel does not keep a bound',
      `/${unit}`,
      alone,
      { makeGroup: (path) => mkdirSync(path) },
      'ENOENT',
    ],
  ])('is not made where %s', async (_name, ours, files, change, why) => {
    const host = fakeMachine(ours, change);
    if (files !== null) makeFakeGroup(join(groups(), unit), files);
    expect(await makeRunGroup(bounds, host)).toEqual({ kind: 'none', why: containing(why) });
  });

  it('does without what an older kernel has not', async () => {
    const older = new Set(['memory.swap.max', 'memory.oom.group']);
    const host = fakeMachine(`/${unit}/server`, {
      makeGroup: (path) => {
        makeFakeGroup(path);
        for (const name of older) rmSync(join(path, name));
      },
    });
    makeFakeGroup(join(groups(), unit));
    makeFakeGroup(join(groups(), unit, 'server'));
    await made(host);
    const [run = ''] = groupsIn(unit);
    for (const name of older) expect(existsSync(join(groups(), unit, run, name))).toBe(false);
    expect(textOf(unit, run, 'pids.max')).toBe('22');
  });

  it('removes what killed runners left, and nobody else’s', async () => {
    const host = fakeMachine(`/${unit}/server`);
    makeFakeGroup(join(groups(), unit));
    makeFakeGroup(join(groups(), unit, 'server'));
    fakeProcess(43, 2000);
    const [gone, reused] = ['eka-ci-run-7-41-500-a', 'eka-ci-run-7-43-600-b'];
    const [lives, elsewhere] = ['eka-ci-run-7-43-2000-c', 'eka-ci-run-8-41-500-d'];
    for (const name of [gone, reused, lives, elsewhere]) makeFakeGroup(join(groups(), unit, name));
    const group = await made(host);
    expect(groupsIn(unit).slice(0, -1)).toEqual(expect.not.arrayContaining([gone, reused]));
    expect(groupsIn(unit)).toEqual(expect.arrayContaining([lives, elsewhere]));
    await group.remove();
    expect(groupsIn(unit).toSorted()).toEqual([lives, elsewhere].toSorted());
  });

  it('tells what the kernel did in it, and nothing once it has vanished', async () => {
    const host = fakeMachine(`/${unit}/server`);
    makeFakeGroup(join(groups(), unit));
    makeFakeGroup(join(groups(), unit, 'server'));
    const group = await made(host);
    const [run = ''] = groupsIn(unit);
    const tell = (name: string, text: string): void => writeFileSync(join(groups(), unit, run, name), text);
    expect([group.reached(), group.isEntered(), group.cpuSeconds()]).toEqual([null, false, 0]);
    tell('cpu.stat', 'usage_usec 2500000\nuser_usec 1\n');
    tell('pids.events', 'max 3\n');
    expect([group.reached(), group.isEntered(), group.cpuSeconds()]).toEqual(['process-limit', true, 2.5]);
    tell('memory.events', 'max 40\noom 2\noom_kill 5\n');
    expect(group.reached()).toBe('out-of-memory');
    tell('memory.events', 'max 40\noom 2\noom_kill 0\n');
    const held = (kernel: number): string =>
      `anon ${30 * mib}\nfile ${90 * mib}\nkernel ${kernel * mib}\nsock ${mib}\nshmem ${10 * mib}\nslab_reclaimable ${20 * mib}\n`;
    tell('memory.stat', held(43));
    expect(group.reached()).toBe('process-limit');
    tell('memory.stat', held(44));
    expect(group.reached()).toBe('out-of-memory');
    tell('memory.stat', held(43).replace('kernel', 'slab_unreclaimable'));
    expect(group.reached()).toBe('out-of-memory');
    rmSync(join(groups(), unit, run), { recursive: true });
    group.kill();
    await group.remove();
    expect([group.reached(), group.isEntered(), group.cpuSeconds()]).toEqual([null, false, 0]);
  });

  it('runs its command outside where it cannot be entered', async () => {
    const host = fakeMachine(`/${unit}/server`);
    makeFakeGroup(join(groups(), unit));
    makeFakeGroup(join(groups(), unit, 'server'));
    const words = (await made(host)).enter(['echo', 'a b']);
    rmSync(groups(), { recursive: true });
    const { execFileSync } = await import('node:child_process');
    const [command = '', ...args] = words;
    expect(execFileSync(command, args, { encoding: 'utf8' })).toBe('a b\n');
  });
});

const here = await makeRunGroup(bounds);
if (here.kind === 'made') await here.group.remove();
const skipped = here.kind === 'none' ? ` (skipped: ${here.why})` : '';

describe.skipIf(skipped !== '')(`a control group of this machine${skipped}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const leftGroups = (): string[] => {
    const ours = ourControlGroup('/') ?? '';
    return [ours, dirname(ours)].flatMap((path) =>
      readdirSync(path).filter((name) => name.startsWith('eka-ci-run-')),
    );
  };

  it.each([
    [
      'inodes, which no process shows',
      'cd /tmp && seq 10000000 | xargs -n 2000 mkdir; sleep 60',
      'out-of-memory',
    ],
    ['a fork bomb', 'f() { f | f & }; f; sleep 60', 'process-limit'],
  ])(
    'ends %s',
    async (_name, script, kind) => {
      const said: string[] = [];
      const sandbox = createLocalSandbox({ folder, onBounds: (lines) => said.push(...lines) });
      const limits = { maxMemoryMib: 128, maxProcesses: 40, timeoutMs: 300_000, maxCpuSeconds: 250 };
      const tree = new URL('.', import.meta.url).pathname;
      const { result } = await runScript(sandbox, tree, script, { limits });
      expect(result).toMatchObject({ kind });
      expect(said.join('\n')).toMatch(/control group of each run's own/);
      expect(leftGroups()).toEqual([]);
    },
    320_000,
  );
});
