// A desk over a real database and a forge in memory, with a clock that the test sets.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { vi } from 'vitest';
import type { ChangeState, Database, StoredMerge } from '../../../database/database.ts';
import type { OfferedChange } from '../../../forge/forge-event.ts';
import { createFakeHostedForge, type FakeHostedForge, fakeSha } from '../../../forge/hosted-forge.fake.ts';
import { hostedName } from '../../../forge/hosted-forge.ts';
import { newOffer } from '../../hosted/testing/intake-world.ts';
import {
  type AskedMerge,
  createMergeDesk,
  type MergeDeskDeps,
  type MergeDeskEvent,
  type RunningMergeDesk,
} from '../merge-desk.ts';

export const ann = { id: 7, login: 'ann' };
export const bob = { id: 8, login: 'bob' };

let hosts = 0;

export interface DeskWorld {
  readonly forge: FakeHostedForge;
  readonly events: MergeDeskEvent[];
  /** Milliseconds since 1970. */
  nowMs: number;
  desk(): RunningMergeDesk;
  /** Of the change 1: as the forge has it, and as it is known here; a field may differ. */
  offer(head: number, more?: Partial<OfferedChange>): OfferedChange;
  know(head: number, state: ChangeState, conclusion?: string | null, baseBranch?: string): Promise<void>;
  /** By ann, of change 1, as it is at the forge now. */
  ask(commentId: number | null, more?: Partial<AskedMerge>): ReturnType<RunningMergeDesk['request']>;
  newest(): Promise<StoredMerge>;
  /** Wakes the desk, and waits until it has gone through everything. */
  settle(): Promise<void>;
  /** Lets go of the desk as a power cut does: what was not written is lost. */
  restart(): Promise<void>;
  reactions(): string[];
  merges(): string[];
}

export const openDeskWorld = (
  database: Database,
  more: Partial<Pick<MergeDeskDeps, 'database' | 'isApproved' | 'defaultMethod'>> = {},
): DeskWorld => {
  const forge = createFakeHostedForge(`desk-${++hosts}.example.org`);
  const known = forge.addRepository('owner/set');
  const repository = hostedName(forge.host, 'owner/set');
  const events: MergeDeskEvent[] = [];
  let rests = 0;
  const open = (): RunningMergeDesk =>
    createMergeDesk({
      database,
      forges: [forge],
      defaultMethod: 'squash',
      isApproved: () => Promise.resolve(true),
      clock: () => world.nowMs,
      random: () => 0.5,
      // Nothing happens by itself: the test sets the clock and wakes it.
      later: () => {
        rests += 1;
        return () => {};
      },
      onEvent: (event) => void events.push(event),
      ...more,
    });
  let desk = open();
  desk.start();
  const world: DeskWorld = {
    forge,
    events,
    nowMs: 1_000_000,
    desk: () => desk,
    offer(head, change) {
      const offered = { ...newOffer(1), headSha: fakeSha(head), ...change };
      known.changes.set(1, offered);
      return offered;
    },
    async know(head, state, conclusion = null, baseBranch = 'main') {
      const before = await database.changes.findByNumber(repository, 1);
      if (before !== null && before.head !== fakeSha(head)) {
        await database.changes.save({ ...before, state: 'superseded' });
      }
      await database.changes.save({
        ...{ id: `${repository} ${head}`, kind: 'offered', repository, number: 1, branch: 'pull/1' },
        ...{ baseBranch, base: fakeSha(999), head: fakeSha(head), title: 't', state, conclusion },
        ...{ judgedTree: 'd'.repeat(40) as TreeSha, createdAtMs: head, updatedAtMs: head, fault: null },
        ...{ faults: 0, retryAtMs: null, approved: false, summaryJson: null, markdown: null },
        requestJson: null,
      });
    },
    ask: (commentId, asked) =>
      desk.request(
        {
          ...{ repository, number: 1, headSha: known.changes.get(1)?.headSha ?? ('' as CommitSha) },
          ...{ method: null, by: ann, commentId, atMs: world.nowMs, ...asked },
        },
        AbortSignal.timeout(10_000),
      ),
    async newest() {
      const merge = await database.merges.newestOf(repository, 1);
      if (merge === null) throw new Error('nothing was asked for');
      return merge;
    },
    async settle() {
      const before = rests;
      desk.wake();
      await vi.waitFor(
        () => {
          if (rests === before) throw new Error('it does not rest');
        },
        { interval: 1, timeout: 5000 },
      );
    },
    async restart() {
      await desk.stop();
      desk = open();
      const before = rests;
      desk.start();
      await vi.waitFor(
        () => {
          if (rests === before) throw new Error('it does not rest');
        },
        { interval: 1, timeout: 5000 },
      );
    },
    reactions: () => forge.reactions.map(({ commentId, reaction }) => `${commentId} ${reaction}`),
    merges: () => forge.asked.filter((what) => /^(merge|enqueue) /.test(what)),
  };
  return world;
};
