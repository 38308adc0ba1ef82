import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { afterEach, describe, expect, it } from 'vitest';
import type { ReadFile } from '../../config/config-host.ts';
import type { Logger } from '../../lib/logger.ts';
import { createFakeBuilder } from '../builder.fake.ts';
import type { CountedBuilderPool } from '../builder-counts.ts';
import { createFakeMachine, type FakeMachine } from '../remote-builder.fake.ts';
import { createLocalPool, poolLocal } from './local-pool.ts';
import { type BuilderPoolOptions, createBuilderPool } from './machine-pool.ts';
import { createManualClock } from './testing/manual-clock.ts';

const minute = 60_000;
const request = {
  drvPath: '/nix/store/0-a.drv' as DrvPath,
  outputs: [],
  silenceTimeoutMs: 1,
  maxDurationMs: 1,
  maxLogBytes: 1,
};
const deaf = { log() {}, phase() {} };

const local = poolLocal(createFakeBuilder({ behave: () => ({ result: { kind: 'built', durationMs: 0 } }) }), {
  build: 2,
  fixedOutput: 8,
});

const pools: CountedBuilderPool[] = [];
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

const open = async (options: Partial<BuilderPoolOptions> & { text?: string } = {}) => {
  const clock = createManualClock();
  const said: string[] = [];
  const say = (message: string, facts: object = {}): void => {
    said.push(`${message} ${JSON.stringify(facts)}`);
  };
  const logger: Logger = { trace: say, debug: () => {}, info: say, warn: say, error: say };
  /** Every one that was ever opened, the last of a name last. */
  const opened: FakeMachine[] = [];
  const file: { found: ReadFile; reads: number } = {
    found: { kind: 'read', text: options.text ?? 'far - - 4\n', isPublic: false },
    reads: 0,
  };
  const silent = new Set<string>();
  const pool = await createBuilderPool({
    local,
    machinesFile: { path: '/no/such/folder/machines', mustExist: false },
    openMachine: (machine) => {
      const made = createFakeMachine(machine, silent.has(machine.name));
      opened.push(made);
      return made;
    },
    logger,
    clock,
    random: () => 0.5,
    async read() {
      file.reads++;
      return file.found;
    },
    ...options,
  });
  pools.push(pool);
  const machine = (name: string): FakeMachine => {
    const found = opened.findLast((one) => one.name === name);
    if (found === undefined) throw new Error(`no machine ${name} was opened`);
    return found;
  };
  const write = (text: string): void => {
    file.found = { kind: 'read', text, isPublic: false };
  };
  const untilRead = async (): Promise<void> => {
    for (const before = file.reads; file.reads === before; ) await clock.pass(10);
  };
  return { pool, clock, said, opened, machine, file, write, untilRead, silent };
};

const isIn = (pool: CountedBuilderPool, name: string): boolean => pool.outageOf(name) === null;
const namesOf = (pool: CountedBuilderPool): string[] => pool.builders().map(({ name }) => name);

describe('a pool of this server alone', () => {
  it('has one builder that is never out', async () => {
    const pool = createLocalPool(local);
    pool.lost('fake', 'a reason');
    expect(namesOf(pool)).toEqual(['fake']);
    expect(pool.outageOf('fake')).toBeNull();
    expect(pool.counts()).toMatchObject([{ name: 'fake', isUp: true, slots: { build: 2, fixedOutput: 8 } }]);
    await pool.close();
  });

  it('is what there is without a machines file, and without a way to copy', async () => {
    const without = await open({ machinesFile: null });
    expect(namesOf(without.pool)).toEqual(['fake']);
    const unreachable = await open({ openMachine: null });
    expect(namesOf(unreachable.pool)).toEqual(['fake']);
    expect(unreachable.said.join()).toMatch(/no Nix daemon of this server was reached/);
  });
});

describe('a pool of machines', () => {
  it('starts nothing on a machine before it has answered', async () => {
    const { pool, clock, machine } = await open({ text: 'far x86_64-linux - 4 2 kvm,big big\n' });
    expect(pool.outageOf('far')).toMatchObject({ reason: 'it was not asked yet' });
    let told = 0;
    const unwatch = pool.watch(() => told++);
    await clock.pass(0);
    expect(isIn(pool, 'far')).toBe(true);
    expect(told).toBe(1);
    unwatch();
    expect(pool.builders()).toMatchObject([
      { name: 'fake', isLocal: true },
      {
        name: 'far',
        isLocal: false,
        speed: 2,
        slots: { build: 4, fixedOutput: 4 },
        features: ['kvm', 'big'],
        mandatoryFeatures: ['big'],
      },
    ]);
    pool.lost('far', 'gone');
    expect(told).toBe(1);
    expect(machine('far').checks()).toBe(1);
    expect(pool.counts()).toMatchObject([
      { name: 'fake', isUp: true },
      { name: 'far', isUp: false, outages: 1, copied: { to: 1, from: 2 } },
    ]);
  });

  it('leaves a machine that fails alone for longer and longer, and takes it in when it answers', async () => {
    const { pool, clock, machine, said } = await open();
    await clock.pass(0);
    machine('far').answer = 'it does not answer: far is down';
    await clock.pass(minute);
    const pauses: number[] = [];
    for (let failure = 0; failure < 8; failure++) {
      const outage = pool.outageOf('far');
      expect(outage?.reason).toBe('it does not answer: far is down');
      const pause = outage!.retryAtMs - clock.wall();
      pauses.push(pause);
      const before = machine('far').checks();
      await clock.pass(pause - 1);
      expect(machine('far').checks()).toBe(before);
      await clock.pass(1);
      expect(machine('far').checks()).toBe(before + 1);
    }
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]);
    machine('far').answer = null;
    await clock.pass(10 * minute);
    expect(isIn(pool, 'far')).toBe(true);
    // One outage, however long: told once.
    expect(said.filter((line) => line.startsWith('a builder is out'))).toHaveLength(1);
    // It has answered: the next failure is the first again.
    machine('far').answer = 'down again';
    await clock.pass(minute);
    expect(pool.outageOf('far')!.retryAtMs - clock.wall()).toBe(10_000);
  });

  it('does not take an answered check for room on the disk: builds that are lost in a row count', async () => {
    const { pool, clock } = await open();
    await clock.pass(0);
    const pauseOf = (): number => pool.outageOf('far')!.retryAtMs - clock.wall();
    pool.lost('far', 'its disk is full');
    // Eight builds of one machine that has gone are one failure.
    for (let more = 0; more < 7; more++) pool.lost('far', 'again');
    expect(pool.outageOf('far')?.reason).toBe('its disk is full');
    expect(pauseOf()).toBe(10_000);
    await clock.pass(10_000);
    expect(isIn(pool, 'far')).toBe(true);
    pool.lost('far', 'its disk is full');
    expect(pauseOf()).toBe(20_000);
    await clock.pass(20_000);
    pool.answered('far');
    pool.lost('far', 'its disk is full');
    expect(pauseOf()).toBe(10_000);
    await clock.pass(10_000);
    // Long ago is not in a row.
    await clock.pass(30 * minute);
    pool.lost('far', 'gone');
    expect(pauseOf()).toBe(10_000);
  });

  it('is not out for an hour because the clock of the wall was set back by one', async () => {
    const { pool, clock } = await open();
    await clock.pass(0);
    pool.lost('far', 'gone');
    clock.setWall(clock.wall() - 60 * minute);
    expect(pool.outageOf('far')!.retryAtMs - clock.wall()).toBe(10_000);
    await clock.pass(10_000);
    expect(isIn(pool, 'far')).toBe(true);
  });

  it('does not heed an answer that was asked for before the machine was lost', async () => {
    const { pool, clock, machine } = await open();
    const first = Promise.withResolvers<null>();
    const asked = machine('far');
    const { check } = asked;
    asked.check = () => first.promise;
    await clock.pass(0);
    asked.check = check;
    asked.answer = 'down';
    expect(pool.outageOf('far')?.reason).toBe('it was not asked yet');
    first.resolve(null);
    await clock.pass(0);
    expect(isIn(pool, 'far')).toBe(true);
    const late = Promise.withResolvers<null>();
    asked.check = () => late.promise;
    await clock.pass(minute);
    pool.lost('far', 'gone');
    late.resolve(null);
    await clock.pass(0);
    expect(pool.outageOf('far')?.reason).toBe('gone');
  });

  it('asks those that build nothing every minute, and leaves the others to their builds', async () => {
    const { pool, clock, machine } = await open();
    await clock.pass(0);
    await clock.pass(3 * minute);
    expect(machine('far').checks()).toBe(4);
    const building = pool.builders()[1]!.build(request, deaf, new AbortController().signal);
    await clock.pass(3 * minute);
    expect(machine('far').checks()).toBe(4);
    machine('far').endBuilds();
    expect(await building).toMatchObject({ kind: 'built' });
    await clock.pass(minute);
    expect(machine('far').checks()).toBe(5);
  });

  it('asks only some of many at once, and is not held up by those that are silent for good', async () => {
    const hosts = Array.from({ length: 30 }, (_, index) => `far${index}`);
    const { pool, clock, opened, silent, write } = await open({ text: '' });
    for (const host of hosts) silent.add(host);
    write(`${hosts.join('\n')}\n`);
    await clock.pass(minute);
    expect(opened.filter((one) => one.checks() > 0)).toHaveLength(8);
    await pool.close();
    expect(opened.every((one) => one.isClosed())).toBe(true);
    expect(clock.timers()).toBe(0);
  });
});

describe('a machines file that changes', () => {
  it('leaves those as they are whose line says the same', async () => {
    const { pool, clock, write, opened, machine } = await open({ text: 'far - - 4\nnear\n' });
    await clock.pass(0);
    pool.lost('near', 'gone');
    write('# moved\nnew\nnear\nfar - - 8\n');
    await clock.pass(minute);
    expect(namesOf(pool)).toEqual(['fake', 'new', 'near', 'far']);
    expect(opened.map(({ name }) => name)).toEqual(['far', 'near', 'new', 'far']);
    expect(pool.builders()[3]).toMatchObject({ slots: { build: 8 } });
    expect(opened[0]!.isClosed()).toBe(true);
    expect(machine('near').isClosed()).toBe(false);
    expect(isIn(pool, 'new')).toBe(true);
  });

  it('lets end in peace what runs on a machine whose line is gone, and starts nothing new there', async () => {
    const { pool, clock, write, machine } = await open();
    await clock.pass(0);
    const building = pool.builders()[1]!.build(request, deaf, new AbortController().signal);
    write('# none\n');
    await clock.pass(minute);
    expect(namesOf(pool)).toEqual(['fake']);
    expect(pool.outageOf('far')).toMatchObject({ reason: 'it is configured no more' });
    expect(machine('far').isClosed()).toBe(false);
    expect(machine('far').running()).toBe(1);
    machine('far').endBuilds();
    expect(await building).toMatchObject({ kind: 'built' });
    await expect.poll(() => machine('far').isClosed()).toBe(true);
    const asked = machine('far').checks();
    await clock.pass(20 * minute);
    expect(machine('far').checks()).toBe(asked);
  });

  it('is not taken half written, empty or gone before it has stayed so', async () => {
    const { pool, clock, write, untilRead, file, said } = await open({ text: 'far - - 4\nnear - - 2\n' });
    const doubtMs = 2000;
    await clock.pass(0);
    for (const half of ['', 'far - - 4\nne', 'far - - 4\nnear - - ', 'far - - x\n']) {
      write(half);
      await untilRead();
      await clock.pass(doubtMs - 100);
      write('far - - 4\nnear - - 2\n');
      await untilRead();
      expect(namesOf(pool)).toEqual(['fake', 'far', 'near']);
    }
    expect(said.join()).not.toMatch(/line/);
    write('far - - x\nnear - - 2\n');
    await clock.pass(minute);
    expect(namesOf(pool)).toEqual(['fake', 'near']);
    expect(said.join()).toMatch(/line 1 has "x" for its number of jobs/);
    file.found = { kind: 'unreadable', message: 'cannot be read (EACCES)' };
    await clock.pass(minute);
    expect(namesOf(pool)).toEqual(['fake', 'near']);
    expect(said.at(-1)).toMatch(/EACCES.*stay as they are/);
    file.found = { kind: 'missing' };
    await clock.pass(minute);
    expect(namesOf(pool)).toEqual(['fake']);
  });

  it('may be missing unless somebody named it', async () => {
    const missing = { read: () => Promise.resolve<ReadFile>({ kind: 'missing' }) };
    expect(namesOf((await open(missing)).pool)).toEqual(['fake']);
    const machinesFile = { path: '/etc/my/machines', mustExist: true };
    await expect(open({ ...missing, machinesFile })).rejects.toMatchObject({
      code: 'MACHINES_FILE_UNUSABLE',
      message: expect.stringMatching(/\/etc\/my\/machines does not exist/) as string,
    });
    // Later it is more likely a mistake than a wish.
    const { pool, clock, file } = await open({ machinesFile });
    file.found = { kind: 'missing' };
    await clock.pass(10 * minute);
    expect(namesOf(pool)).toEqual(['fake', 'far']);
  });

  it('is seen at once on a real disk, also where another file is put in its place', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-machines-'));
    const path = join(folder, 'machines');
    const logger: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
    await writeFile(path, 'far\n');
    const pool = await createBuilderPool({
      local,
      machinesFile: { path, mustExist: true },
      openMachine: (machine) => createFakeMachine(machine),
      logger,
      times: { settleMs: 5, doubtMs: 50, pollMs: 1e6 },
    });
    try {
      await expect.poll(() => isIn(pool, 'far')).toBe(true);
      await writeFile(path, 'far\nnear\n');
      await expect.poll(() => namesOf(pool), { timeout: 10_000 }).toEqual(['fake', 'far', 'near']);
      await writeFile(join(folder, 'other'), 'near\n');
      await rename(join(folder, 'other'), path);
      await expect.poll(() => namesOf(pool), { timeout: 10_000 }).toEqual(['fake', 'near']);
    } finally {
      await pool.close();
      await rm(folder, { recursive: true });
    }
  });
});
