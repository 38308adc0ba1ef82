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
  endedSince: (atMs, page) => builds.endedSince(atMs, page),
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
    retryGivenUp: (host, atMs) => calls.gates.retryGivenUp(host, atMs),
    releaseAll: (owner) => calls.gates.releaseAll(owner),
    find: (key) => calls.gates.find(key),
    ofHead: (head) => calls.gates.ofHead(head),
    unfinishedOf: (host, page) => calls.gates.unfinishedOf(host, page),
    counts: () => calls.gates.counts(),
    forget: (beforeMs) => calls.gates.forget(beforeMs),
  },
  merges: {
    ask: (merge) => calls.merges.ask(merge),
    unfinished: () => calls.merges.unfinished(),
    find: (id) => calls.merges.find(id),
    findByComment: (repository, commentId) => calls.merges.findByComment(repository, commentId),
    findOpen: (repository, number) => calls.merges.findOpen(repository, number),
    newestOf: (repository, number) => calls.merges.newestOf(repository, number),
    step: (id, state, atMs) => calls.merges.step(id, state, atMs),
    end: (id, ending) => calls.merges.end(id, ending),
    putOff: (id, why) => calls.merges.putOff(id, why),
    told: (id, atMs) => calls.merges.told(id, atMs),
    forget: (beforeMs) => calls.merges.forget(beforeMs),
  },
  reviews: {
    save: (review) => calls.reviews.save(review),
    dismiss: (of) => calls.reviews.dismiss(of),
    of: (repository, number) => calls.reviews.of(repository, number),
  },
  maintainers: {
    add: (maintainer) => calls.maintainers.add(maintainer),
    remove: (of) => calls.maintainers.remove(of),
    of: (attr) => calls.maintainers.of(attr),
    attrsOf: (host, userId) => calls.maintainers.attrsOf(host, userId),
    request: (asked) => calls.maintainers.request(asked),
    requests: (which) => calls.maintainers.requests(which),
    decide: (id, decision) => calls.maintainers.decide(id, decision),
    keepPackages: (changeId, packagesJson) => calls.maintainers.keepPackages(changeId, packagesJson),
    packagesOf: (changeId) => calls.maintainers.packagesOf(changeId),
    forgetPackages: () => calls.maintainers.forgetPackages(),
  },
  users: {
    signIn: (user) => calls.users.signIn(user),
    find: (key) => calls.users.find(key),
    findByLogin: (host, login) => calls.users.findByLogin(host, login),
    list: (page) => calls.users.list(page),
    setPromoted: (key, promoted) => calls.users.setPromoted(key, promoted),
    recogniseListed: async (host, logins) => {
      if (logins.length > 0) await calls.users.recogniseListed(host, logins);
    },
    ofSession: (key, sessionId) => calls.users.ofSession(key, sessionId),
    addToken: (token, most) => calls.users.addToken(token, most),
    tokensOf: (key) => calls.users.tokensOf(key),
    useToken: (hash, nowMs) => calls.users.useToken(hash, nowMs),
    removeToken: (key, id) => calls.users.removeToken(key, id),
    revoke: (id, expiresAtMs) => calls.users.revoke(id, expiresAtMs),
    forget: (expiredBeforeMs) => calls.users.forget(expiredBeforeMs),
  },
  approvals: {
    approveAuthor: (author) => calls.approvals.approveAuthor(author),
    isApproved: (author) => calls.approvals.isApproved(author),
    list: () => calls.approvals.list(),
    withdraw: (author) => calls.approvals.withdraw(author),
    holdRun: (run) => calls.approvals.holdRun(run),
    isRunHeld: (run) => calls.approvals.isRunHeld(run),
    releaseRun: (run) => calls.approvals.releaseRun(run),
    forgetRuns: (heldBeforeMs) => calls.approvals.forgetRuns(heldBeforeMs),
  },
  repositories: {
    list: () => calls.repositories.list(),
    seen: (repository) => calls.repositories.seen(repository),
  },
  hookRuns: {
    want: async (runs, atMs) => (runs.length === 0 ? 0 : calls.hookRuns.want(runs, atMs)),
    due: (nowMs, limit) => calls.hookRuns.due(nowMs, limit),
    nextDueMs: () => calls.hookRuns.nextDueMs(),
    begin: (id, began) => calls.hookRuns.begin(id, began),
    putOff: (id, why) => calls.hookRuns.putOff(id, why),
    end: (id, ending) => calls.hookRuns.end(id, ending),
    interruptRunning: (atMs) => calls.hookRuns.interruptRunning(atMs),
    of: (drv) => calls.hookRuns.of(drv),
    counts: () => calls.hookRuns.counts(),
    forget: (beforeMs) => calls.hookRuns.forget(beforeMs),
  },
  privacy: {
    repositories: () => calls.privacy.repositories(),
    hide: (repository) => calls.privacy.hide(repository),
    show: (repository) => calls.privacy.show(repository),
    derivations: (limit, after) => calls.privacy.derivations(limit, after),
    async claim(owner, drvs) {
      if (drvs.length > 0) await calls.privacy.claim(owner, drvs);
    },
    async release(drvs) {
      if (drvs.length > 0) await calls.privacy.release(drvs);
    },
    jobsets: () => calls.privacy.jobsets(),
  },
  publications: {
    waiting: (reader, limit) => calls.publications.waiting(reader, limit),
    taken: (reader, id) => calls.publications.taken(reader, id),
  },
  pushes: {
    want: async (pushes, atMs) => (pushes.length === 0 ? 0 : calls.pushes.want(pushes, atMs)),
    settled: async (of, outputs) =>
      new Set(outputs.length === 0 ? [] : await calls.pushes.settled(of, outputs)),
    claim: (claim) => calls.pushes.claim(claim),
    renew: async (lease, untilMs) => (lease.ids.length === 0 ? [] : calls.pushes.renew(lease, untilMs)),
    settle: async (ids, ending) => {
      if (ids.length > 0) await calls.pushes.settle(ids, ending);
    },
    putOff: async (lease, why) => {
      if (lease.ids.length > 0) await calls.pushes.putOff(lease, why);
    },
    release: async (lease) => {
      if (lease.ids.length > 0) await calls.pushes.release(lease);
    },
    releaseAll: (owner) => calls.pushes.releaseAll(owner),
    retry: (cache, atMs) => calls.pushes.retry(cache, atMs),
    askAgain: async (cache, atMs) => {
      for (let total = 0, after = ''; ; ) {
        const asked = await calls.pushes.askAgain(cache, { after, atMs });
        total += asked.length;
        after = asked.at(-1) ?? after;
        if (asked.length === 0) return total;
      }
    },
    counts: () => calls.pushes.counts(),
    publicationsWaiting: () => calls.pushes.publicationsWaiting(),
    forget: (beforeMs, caches) => calls.pushes.forget(beforeMs, caches),
  },
  checkRuns: {
    queue: (run) => calls.checkRuns.queue(run),
    start: (id, logFile) => calls.checkRuns.start(id, logFile),
    end: (id, end) => calls.checkRuns.end(id, end),
    findAnswer: (question, endedSinceMs) => calls.checkRuns.findAnswer(question, endedSinceMs),
    keepAnswer: (run, answer) => calls.checkRuns.keepAnswer(run, answer),
    find: (id) => calls.checkRuns.find(id),
    ofChange: (changeId) => calls.checkRuns.ofChange(changeId),
    forgetAnswers: (changeId, name) => calls.checkRuns.forgetAnswers(changeId, name),
    interruptAll: (atMs) => calls.checkRuns.interruptAll(atMs),
    forget: (endedBeforeMs) => calls.checkRuns.forget(endedBeforeMs),
  },
  backup,
  close,
});
