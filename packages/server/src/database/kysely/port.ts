// The port over calls: what spans several transactions, and what is better done on the caller's side of a thread.
import { packageKeyText } from '@eka-ci/core/build-durations';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Builds, Database, Derivations } from '../database.ts';
import { attemptsFrom } from './build-row.ts';
import type { Calls } from './calls.ts';
import { jobsetsOver } from './jobset-records.ts';
import { createRowReader, packNodes } from './packed-nodes.ts';

const rowsAtOnce = 2048;

async function* readClosure(calls: Calls, roots: readonly DrvPath[]): AsyncGenerator<readonly DrvNode[]> {
  const ids = await calls.derivations.closureIds([...new Set(roots)]);
  const reader = createRowReader();
  for (let at = 0; at < ids.length; at += rowsAtOnce) {
    const nodes = reader.read(await calls.derivations.rows(ids.slice(at, at + rowsAtOnce)));
    if (nodes.length > 0) yield nodes;
  }
}

const derivationsOver = (calls: Calls): Derivations => ({
  async save(nodes) {
    if (nodes.length > 0) await calls.derivations.save(packNodes(nodes));
  },
  // What was stored under these paths came from them.
  known: async (paths) => new Set((await calls.derivations.known([...new Set(paths)])) as DrvPath[]),
  find: async (path) => createRowReader().read(await calls.derivations.rowsWithInputs([path]))[0] ?? null,
  findAll: async (paths) =>
    createRowReader().read(await calls.derivations.rowsWithInputs([...new Set(paths)])),
  closureOf: (roots) => readClosure(calls, roots),
  dependentsOf: async (path) => (await calls.derivations.dependentsOf(path)) as DrvPath[],
});

const buildsOver = ({ builds }: Calls): Builds => ({
  async recordTransitions(transitions) {
    if (transitions.length === 0) return [];
    const first = await builds.recordTransitions(transitions);
    return transitions.map((transition, index) => ({ ...transition, sequence: first + index }));
  },
  async statesOf(paths) {
    const stored = await builds.statesOf([...new Set(paths)]);
    return new Map(stored.map((build) => [build.drv, build]));
  },
  answersOf: (paths) => builds.answersOf([...new Set(paths)]),
  attemptsOf: async (path) => attemptsFrom(await builds.historyOf(path)),
  historyOf: (path) => builds.historyOf(path),
  unfinished: () => builds.unfinished({ started: false }),
  startedUnfinished: () => builds.unfinished({ started: true }),
  interruptWaiting: (atMs) => builds.interruptWaiting(atMs),
  eventsSince: (sequence, limit) => builds.eventsSince(sequence, limit),
});

export interface DatabaseFile {
  /** Finishes what was asked before and lets go of the database. */
  readonly close: () => Promise<void>;
  readonly backup: Database['backup'];
}

export const databaseOver = (calls: Calls, { close, backup }: DatabaseFile): Database => ({
  meta: { schemaVersion: () => calls.meta.schemaVersion() },
  derivations: derivationsOver(calls),
  builds: buildsOver(calls),
  packages: {
    async historiesOf(keys) {
      const distinct = [...new Map([...keys].map((key) => [packageKeyText(key), key])).values()];
      return distinct.length === 0 ? [] : calls.packages.historiesOf(distinct);
    },
    forget: (updatedBeforeMs) => calls.packages.forget(updatedBeforeMs),
  },
  jobsets: jobsetsOver(calls.jobsets),
  changes: {
    save: (change) => calls.changes.save(change),
    find: (id) => calls.changes.find(id),
    findByNumber: (repository, number) => calls.changes.findByNumber(repository, number),
    findByHead: (sha) => calls.changes.findByHead(sha),
    list: (query) => calls.changes.list(query),
    apply: async (updates, atMs) => (updates.length === 0 ? [] : calls.judging.apply(updates, atMs)),
    claimNext: (claim) => calls.judging.claimNext(claim),
    renew: (lease, untilMs) => calls.judging.renew(lease, untilMs),
    release: (lease, atMs) => calls.judging.release(lease, atMs),
    releaseAll: (owner, atMs) => calls.judging.releaseAll(owner, atMs),
    finish: (lease, result, atMs) => calls.judging.finish(lease, result, atMs),
    retryLater: (lease, retry) => calls.judging.retryLater(lease, retry),
    submit: (submission) => calls.requests.submit(submission),
    cancel: (id, atMs) => calls.requests.cancel(id, atMs),
    requeue: (id, again) => calls.requests.requeue(id, again),
    clearFailures: (which) => calls.failures.clearFailures(which),
    offerChanged: () => calls.failures.offerChanged(),
    forget: (beforeMs) => calls.requests.forget(beforeMs),
  },
  deliveries: {
    receive: async (deliveries) => (deliveries.length === 0 ? [] : calls.deliveries.receive(deliveries)),
    unfinished: (limit, after) => calls.deliveries.unfinished(limit, after),
    finish: async (keys, doneAtMs) => {
      const all = typeof keys === 'string' ? [keys] : keys;
      if (all.length > 0) await calls.deliveries.finish(all, doneAtMs);
    },
    forget: (doneBeforeMs) => calls.deliveries.forget(doneBeforeMs),
  },
  gates: {
    want: async (gates, atMs) => (gates.length === 0 ? 0 : calls.gates.want(gates, atMs)),
    claimDue: (claim) => calls.gates.claimDue(claim),
    sent: (gate, sent) => calls.gates.sent(gate, sent),
    failed: (gate, failure) => calls.gates.failed(gate, failure),
    releaseAll: (owner) => calls.gates.releaseAll(owner),
    find: (key) => calls.gates.find(key),
    ofHead: (head) => calls.gates.ofHead(head),
    unfinishedOf: (host, page) => calls.gates.unfinishedOf(host, page),
    counts: () => calls.gates.counts(),
    forget: (beforeMs) => calls.gates.forget(beforeMs),
  },
  backup,
  close,
});
