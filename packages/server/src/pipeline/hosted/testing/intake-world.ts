// A hosted intake on a real database, against a fake forge, in a time of its own that runs as fast as the work does.
import type { ChangeListing, Database, Delivery } from '../../../database/database.ts';
import type { ForgeEvent, OfferedChange } from '../../../forge/forge-event.ts';
import { createFakeHostedForge, type FakeHostedForge, fakeSha } from '../../../forge/hosted-forge.fake.ts';
import { hostedName } from '../../../forge/hosted-forge.ts';
import type { Later } from '../../../lib/later.ts';
import {
  createHostedIntake,
  type HostedIntake,
  type HostedIntakeDeps,
  type HostedTaken,
} from '../../hosted-intake.ts';
import { hostedKey, isOfHost, writePayload } from '../hosted-delivery.ts';
import type { HostedIntakeEvent } from '../hosted-event.ts';
import type { HostedKind } from '../open-here.ts';

const minuteMs = 60_000;

export interface VirtualTime {
  readonly clock: () => number;
  readonly later: Later;
  /** Moves on to the next timer and lets it ring; false where there is none. */
  ring(): boolean;
}

const createVirtualTime = (startMs = 1_000_000): VirtualTime => {
  let nowMs = startMs;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    clock: () => nowMs,
    later: (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    ring() {
      const [next] = [...timers].toSorted((one, other) => one.atMs - other.atMs);
      if (next === undefined) return false;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      next.run();
      return true;
    },
  };
};

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** @throws when it does not come true within a bounded number of turns */
export const until = async (isTrue: () => boolean): Promise<void> => {
  const endMs = performance.now() + 20_000;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error('it did not come true');
    await turn();
  }
};

export const isIdle = (intake: HostedIntake): boolean => {
  const { deliveries, works, sweeps, isBehind } = intake.counts();
  return deliveries + works + sweeps === 0 && !isBehind;
};

export interface World {
  readonly database: Database;
  readonly time: VirtualTime;
  readonly forge: FakeHostedForge;
  readonly intake: () => HostedIntake;
  readonly taken: HostedTaken[];
  readonly events: HostedIntakeEvent[];
  /** A row, as the webhook's route writes it; the intake is told where it runs. */
  deliver(event: ForgeEvent, id?: string): Promise<string>;
  /** Time goes on until then. */
  passUntil(isTrue: () => boolean): Promise<void>;
  /** Time goes on until nothing waits, runs or pauses. */
  settle(): Promise<void>;
  /** Another intake on the same database, as after a restart; it sweeps. */
  restart(): Promise<void>;
  open(kind?: HostedKind): Promise<ChangeListing[]>;
  unfinished(): Promise<readonly Delivery[]>;
  close(): Promise<void>;
}

/** The same, and how many of its calls are under way. */
const countCalls = (database: Database) => {
  let running = 0;
  const counted = <T extends object>(part: T): T =>
    new Proxy(part, {
      get(target, name, receiver) {
        const call: unknown = Reflect.get(target, name, receiver);
        if (typeof call !== 'function') return call;
        return async (...args: readonly unknown[]) => {
          running += 1;
          try {
            return (await Reflect.apply(call, target, args)) as unknown;
          } finally {
            running -= 1;
          }
        };
      },
    });
  const { changes, deliveries, repositories, checkRuns } = database;
  return {
    changes: counted(changes),
    deliveries: counted(deliveries),
    repositories: counted(repositories),
    checkRuns: counted(checkRuns),
    running: () => running,
  };
};

let worlds = 0;

/** One of many in a database: its forge has a host of its own. */
export const openWorld = async (database: Database, more: Partial<HostedIntakeDeps> = {}): Promise<World> => {
  const time = createVirtualTime();
  const forge = createFakeHostedForge(`forge${worlds++}.example.org`);
  const calls = countCalls(database);
  const taken: HostedTaken[] = [];
  const events: HostedIntakeEvent[] = [];
  const make = (): HostedIntake =>
    createHostedIntake({
      forges: [forge],
      database: calls,
      baselines: [{ matches: (branch) => branch.startsWith('release/'), build: 'changed' }],
      clock: time.clock,
      later: time.later,
      random: () => 0.5,
      sweepEveryMs: 10 * minuteMs,
      onTaken: (one) => taken.push(one),
      onEvent: (event) => events.push(event),
      ...more,
    });
  let intake = make();
  const open = async (kind: HostedKind = 'offered'): Promise<ChangeListing[]> => {
    const states = ['queued', 'judging', 'judged', 'failed'] as const;
    const { changes } = await database.changes.list({ kinds: [kind], states, limit: 1000 });
    const own = changes.filter(({ repository }) => repository.startsWith(`${forge.host}/`));
    return own.toSorted(
      (one, other) => one.repository.localeCompare(other.repository) || one.number - other.number,
    );
  };
  const passUntil = async (isTrue: () => boolean): Promise<void> => {
    for (let quiet = 0; !isTrue(); ) {
      await turn();
      // A pause ends only when nothing else can go on.
      quiet = calls.running() > 0 ? 0 : quiet + 1;
      if (quiet > 5 && !isTrue()) {
        time.ring();
        quiet = 0;
      }
    }
  };
  let deliveries = 0;
  return {
    database,
    time,
    forge,
    intake: () => intake,
    taken,
    events,
    async deliver(event, id = `delivery ${deliveries++}`) {
      const delivery = {
        key: hostedKey(forge.host, id),
        payload: writePayload(event),
        receivedAtMs: time.clock(),
      };
      const [kept] = await database.deliveries.receive([delivery]);
      if (kept !== 'done') intake.take(delivery);
      return delivery.key;
    },
    passUntil,
    settle: () => passUntil(() => isIdle(intake)),
    async unfinished() {
      const rows = await database.deliveries.unfinished(100_000);
      return rows.filter((row) => isOfHost(row, forge.host));
    },
    async restart() {
      await intake.stop();
      intake = make();
      await intake.start();
    },
    open,
    async close() {
      await intake.stop();
      // What is left is nobody's: another world shares the database.
      for (const { id } of [...(await open()), ...(await open('baseline')), ...(await open('group'))]) {
        await database.changes.cancel(id, 1);
      }
    },
  };
};

export const newOffer = (number: number, more: Partial<OfferedChange> = {}): OfferedChange => ({
  number,
  title: `change ${number}`,
  author: { id: 7, login: 'somebody', isPerson: true },
  isDraft: false,
  isOpen: true,
  headSha: fakeSha(number),
  headBranch: 'patch-1',
  headRepository: { id: 99, name: 'somebody/fork' },
  baseSha: fakeSha(0xba5e),
  baseBranch: 'main',
  ...more,
});

/** What the forge tells when such a change has moved. */
export const movedEvent = (forge: FakeHostedForge, repository: string, number: number): ForgeEvent => {
  const found = forge.repositories.get(repository);
  const change = found?.changes.get(number);
  if (found === undefined || change === undefined) throw new Error('the test tells of what there is not');
  return { kind: 'change-moved', repository: found.repository, by: null, change };
};

/** What is open and permitted there, as it is kept here: by repository, number, head and base branch. */
export const wantedOf = (forge: FakeHostedForge): unknown[] =>
  [...forge.repositories.values()]
    .toSorted((one, other) => one.repository.name.localeCompare(other.repository.name))
    .flatMap(({ repository: { name }, changes }) =>
      [...changes.values()]
        .filter(
          ({ isOpen, isDraft, baseBranch }) =>
            isOpen && !isDraft && forge.permits(name, null) && forge.permits(name, baseBranch),
        )
        .toSorted((one, other) => one.number - other.number)
        .map(({ number, headSha, baseBranch }) => [
          hostedName(forge.host, name),
          number,
          headSha,
          baseBranch,
        ]),
    );

export const keptOf = (changes: readonly ChangeListing[]): unknown[] =>
  changes.map(({ repository, number, head, baseBranch }) => [repository, number, head, baseBranch]);

/** Repositories `owner/r0` and so on, each with open changes from 1. */
export const fillForge = (
  forge: FakeHostedForge,
  { changes, repositories }: { readonly changes: number; readonly repositories: number },
): void => {
  for (let at = 0; at < repositories; at++) {
    const added = forge.addRepository(`owner/r${at}`);
    for (let number = 1; number <= changes; number++) added.changes.set(number, newOffer(number));
  }
};
