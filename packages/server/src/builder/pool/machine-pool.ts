// The builder of this server and the machines of its machines file, as one pool: who is in it, and who answers.

import { createConfigHost, type ReadFile } from '../../config/config-host.ts';
import type { Machine } from '../../config/machine.ts';
import { type MachineLineNote, parseMachinesFile } from '../../config/machines-file.ts';
import type { Logger } from '../../lib/logger.ts';
import { createTurns } from '../../lib/turns.ts';
import type { BuilderCounts, CountedBuilderPool } from '../builder-counts.ts';
import type { Outage, PooledBuilder } from '../builder-pool.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { countsOfLocal } from './local-pool.ts';
import type { HealthEvent, HealthTimes } from './machine-health.ts';
import { MachinesFileError } from './machines-file-error.ts';
import { machineClock, type PoolClock } from './pool-clock.ts';
import { type PooledMachine, poolMachine } from './pooled-machine.ts';
import { type MachinesFileTimes, watchMachinesFile } from './watch-machines-file.ts';

export interface BuilderPoolOptions {
  /** The first of them all. It stays the caller's to close. */
  readonly local: PooledBuilder;
  /** Null: there are no machines, and will be none. */
  readonly machinesFile: {
    readonly path: string;
    /** Somebody named it: a server does not start without. */
    readonly mustExist: boolean;
  } | null;
  /** Null where nothing can be copied out of the store of this server. */
  readonly openMachine: ((machine: Machine) => RemoteBuilder) | null;
  readonly logger: Logger;
  /** Other ones are for tests. */
  readonly clock?: PoolClock;
  readonly times?: Partial<HealthTimes & MachinesFileTimes>;
  readonly random?: () => number;
  readonly read?: (path: string) => Promise<ReadFile>;
}

/** So many machines are asked at once whether they are there. */
const checksAtOnce = 8;
/** Of lines that cannot be read so many are told one by one. */
const problemsTold = 20;

const usualTimes: HealthTimes & MachinesFileTimes = {
  backOff: { firstMs: 10_000, longestMs: 600_000 },
  checkEveryMs: 60_000,
  settleMs: 200,
  doubtMs: 2000,
  pollMs: 30_000,
};

const keyOf = (machine: Machine): string => JSON.stringify(machine);

class Pool implements CountedBuilderPool {
  readonly #options: BuilderPoolOptions;
  readonly #clock: PoolClock;
  readonly #times: HealthTimes & MachinesFileTimes;
  readonly #turns = createTurns(checksAtOnce);
  readonly #watchers = new Set<() => void>();
  /** By name. */
  #machines = new Map<string, PooledMachine>();
  /** Configured no more, and still building. */
  readonly #leaving = new Set<PooledMachine>();
  #builders: readonly PooledBuilder[];
  #stopWatching = (): void => {};
  #closing: Promise<void> | null = null;

  constructor(options: BuilderPoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    this.#times = { ...usualTimes, ...options.times };
    this.#builders = [options.local];
  }

  /** @throws MachinesFileError */
  async open(): Promise<void> {
    const { machinesFile } = this.#options;
    if (machinesFile === null) return;
    const { path, mustExist } = machinesFile;
    const read = this.#options.read ?? ((file) => createConfigHost().readFile(file));
    const taken = await read(path);
    if (mustExist && taken.kind === 'missing') throw new MachinesFileError(path, 'does not exist');
    if (mustExist && taken.kind === 'unreadable') throw new MachinesFileError(path, taken.message);
    this.#take(taken, path);
    const watch = watchMachinesFile({
      path,
      read,
      taken,
      clock: this.#clock,
      times: this.#times,
      onTaken: (found) => this.#take(found, path),
      onFault: (err) => this.#options.logger.error('the machines file was not read', { path, err }),
    });
    this.#stopWatching = () => watch.stop();
  }

  builders(): readonly PooledBuilder[] {
    return this.#builders;
  }

  outageOf(name: string): Outage | null {
    if (name === this.#options.local.name) return null;
    const machine = this.#machines.get(name);
    if (machine !== undefined) return machine.health.outage();
    const retryAtMs = this.#clock.wall() + this.#times.backOff.longestMs;
    return { reason: 'it is configured no more', retryAtMs };
  }

  lost(name: string, reason: string): void {
    this.#machines.get(name)?.health.lost(reason);
  }

  answered(name: string): void {
    this.#machines.get(name)?.health.answered();
  }

  watch(onChange: () => void): () => void {
    // A function of its own, so that one that is given twice is told twice.
    const told = (): void => onChange();
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  counts(): readonly BuilderCounts[] {
    const machines = [...this.#machines.values()].map(({ builder, health, remote }) => ({
      name: builder.name,
      slots: builder.slots,
      isUp: health.outage() === null,
      outages: health.outages(),
      connections: remote.connections(),
      copied: remote.copied(),
    }));
    return [countsOfLocal(this.#options.local), ...machines];
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopWatching();
    this.#watchers.clear();
    await Promise.all([...this.#machines.values(), ...this.#leaving].map((machine) => machine.close()));
  }

  #changed(): void {
    for (const onChange of this.#watchers) onChange();
  }

  #take(found: ReadFile, path: string): void {
    const { logger } = this.#options;
    if (found.kind === 'unreadable') {
      logger.warn(`the machines file ${path} ${found.message}; the machines stay as they are`);
      return;
    }
    if (found.kind === 'missing' && this.#options.machinesFile?.mustExist === true) {
      logger.warn(`the machines file ${path} is gone; the machines stay as they are`);
      return;
    }
    const { machines, problems, notes } = parseMachinesFile(found.kind === 'read' ? found.text : '', [
      this.#options.local.name,
    ]);
    this.#tellLines(path, problems);
    for (const { message } of notes) logger.info(`${path}: ${message}`);
    this.#apply(machines);
  }

  #tellLines(path: string, problems: readonly MachineLineNote[]): void {
    const { logger } = this.#options;
    for (const { message } of problems.slice(0, problemsTold)) {
      logger.warn(`${path}: ${message}; this line is passed over`);
    }
    const left = problems.length - problemsTold;
    if (left > 0) logger.warn(`${path}: ${left} more lines cannot be read and are passed over`);
  }

  /** Machines whose line says the same stay as they are, with all that is known of them. */
  #apply(wanted: readonly Machine[]): void {
    const { openMachine, logger, local } = this.#options;
    if (openMachine === null) {
      if (wanted.length > 0) {
        logger.warn(
          'nothing is built on other machines, for no Nix daemon of this server was reached to copy from and to',
          { machines: wanted.length },
        );
      }
      return;
    }
    const before = this.#machines;
    this.#machines = new Map();
    for (const machine of wanted) {
      const known = before.get(machine.name);
      const stays = known !== undefined && keyOf(known.machine) === keyOf(machine);
      this.#machines.set(machine.name, stays ? known : this.#open(machine, openMachine(machine)));
    }
    this.#builders = [local, ...[...this.#machines.values()].map(({ builder }) => builder)];
    for (const [name, pooled] of before) {
      if (this.#machines.get(name) === pooled) continue;
      this.#leaving.add(pooled);
      pooled.retire();
    }
    this.#changed();
  }

  #open(machine: Machine, remote: RemoteBuilder): PooledMachine {
    const { random = Math.random, logger } = this.#options;
    return poolMachine(machine, remote, {
      clock: this.#clock,
      times: this.#times,
      random,
      turns: this.#turns,
      onEvent: (event) => this.#onHealth(machine.name, event),
      onFault: (err) =>
        logger.error('a builder was not asked whether it is there', { builder: machine.name, err }),
      onGone: (gone) => this.#leaving.delete(gone),
    });
  }

  #onHealth(builder: string, event: HealthEvent): void {
    const { logger } = this.#options;
    if (event.kind === 'in') {
      logger.info(event.isFirst ? 'a builder answers' : 'a builder is in again', { builder });
    } else {
      const facts = { builder, reason: event.reason, askedAgainAfterMs: event.pauseMs };
      logger[event.isNew ? 'warn' : 'debug']('a builder is out', facts);
    }
    this.#changed();
  }
}

/**
 * Reads the machines file, and asks every machine in it: each is out until it has answered for the first time.
 * @throws MachinesFileError
 */
export const createBuilderPool = async (options: BuilderPoolOptions): Promise<CountedBuilderPool> => {
  const pool = new Pool(options);
  await pool.open();
  return pool;
};
