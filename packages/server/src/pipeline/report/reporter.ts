// Stage: what happens to an offered change → the gates that its forge is to show. What is wanted is a row before anybody
// sends it, so nothing that a forge shows stays pending for ever.
import { CheckOutcome } from '@eka-ci/protocol/check';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { z } from 'zod';
import type {
  ChangeKind,
  ChangeListing,
  Database,
  StoredChange,
  StoredGate,
} from '../../database/database.ts';
import { chooseFailureGates, type Gate } from '../../forge/gate.ts';
import type { JudgeEvent } from '../judge-loop.ts';
import { readOffered } from '../offered-request.ts';
import {
  awaitingGates,
  awaitingGroupGates,
  type CheckProgress,
  cancelledGates,
  changeIdOfGate,
  checkGate,
  endedGates,
  failedGates,
  failureGates,
  isFailureGate,
  isSummaryGate,
  type JobProgress,
  judgedGates,
  queuedGates,
  type ReportedChange,
  type ReportedCheck,
  runningCheckGates,
  runningGates,
  settledGate,
  waitingGates,
} from './change-gates.ts';
import { readGate, wantedGateOf } from './kept-gate.ts';
import { ReportedSizes, sizeGates } from './size-gates.ts';

export interface ReporterDeps {
  readonly database: Pick<Database, 'changes' | 'gates'>;
  /** Of the forges that show gates. */
  readonly hosts: readonly string[];
  /** The address under which people reach this server, without a slash at the end. */
  readonly publicUrl: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Something is to be sent. */
  readonly wake: () => void;
  /** What was to be shown could not be kept; the next start finds out. */
  readonly onFault: (error: unknown) => void;
  /** How often the progress of one change is shown anew. @default 15000 */
  readonly progressMs?: number;
}

export interface Reporter {
  /** Changes that wait to be judged since now. */
  queued(changes: readonly ChangeListing[]): void;
  /** Changes that wait for approval since now. */
  awaiting(changes: readonly ChangeListing[]): void;
  /** Ids of changes that nobody wants judged any more. */
  ended(ids: readonly string[]): void;
  judging(event: JudgeEvent): void;
  progress(change: StoredChange, event: ReviewEvent): void;
  /** What we may do on a forge has changed: it is shown what it refused to take. */
  accessChanged(host: string): void;
  /** What an earlier life of the server left unfinished is shown as it is now. @throws DatabaseError */
  reconcile(): Promise<void>;
  /** Resolves when all that was told is kept. */
  settled(): Promise<void>;
}

const conclusion = z.enum([
  'success',
  'failure',
  'neutral',
  'cancelled',
  'timed-out',
  'action-required',
  'pending',
]);
const position = z.object({ file: z.string(), line: z.number() }).optional();
const StoredSummary = z.object({
  conclusion,
  headline: z.string(),
  checks: z
    .array(
      z.object({
        name: z.string(),
        id: z.string().nullable(),
        outcome: CheckOutcome,
        reason: z.string().nullable(),
        durationMs: z.number().nullable(),
        outputTail: z.array(z.string()),
      }),
    )
    .default([]),
  jobs: z.array(
    z.object({
      job: z.string(),
      conclusion,
      headline: z.string(),
      notJudged: z.string().nullable(),
      file: z.string().optional(),
      position,
      sizes: ReportedSizes,
      outcomes: z.array(
        z.object({
          kind: z.string(),
          attr: z.string(),
          reason: z.string().nullable(),
          culprit: z.object({ name: z.string() }).nullable(),
          logTail: z.array(z.string()),
          reproduce: z.string().nullable(),
          evaluation: z.object({ message: z.string() }).nullish(),
          position,
        }),
      ),
    }),
  ),
});

interface Shown {
  title: string;
  readonly jobs: Map<string, string | null>;
  readonly checks: Map<string, CheckProgress['state'] | ReportedCheck>;
  shownAtMs: number;
}

const plannedTitle = ({ rebuilds, added, removed }: Extract<ReviewEvent, { type: 'planned' }>): string =>
  `${rebuilds} rebuilds, ${added} added, ${removed} removed`;

/** While others go on, by what was told of it. */
const finishedCheck = ({
  check,
  id,
  outcome,
  reason,
  durationMs,
  outputTail,
}: Extract<ReviewEvent, { type: 'check-finished' }>): ReportedCheck => ({
  name: check,
  ...{ id, outcome, reason, durationMs, outputTail },
});

const checkGates = (
  change: ReportedChange,
  checks: readonly (readonly [string, CheckProgress['state'] | ReportedCheck])[],
): Gate[] =>
  checks.flatMap(([check, shown]) =>
    typeof shown === 'string'
      ? runningCheckGates(change, [{ check, state: shown }])
      : [checkGate(change, shown)],
  );

/** Baselines and what is asked for by hand are shown here alone. */
const isShown = (kind: ChangeKind): boolean => kind === 'offered' || kind === 'group';

async function* unfinishedOf(
  { database: { gates } }: Pick<ReporterDeps, 'database'>,
  host: string,
): AsyncGenerator<StoredGate> {
  let after: StoredGate | null = null;
  do {
    const page: readonly StoredGate[] = await gates.unfinishedOf(host, { after, limit: 500 });
    yield* page;
    after = page.at(-1) ?? null;
  } while (after !== null);
}

class GateReporter implements Reporter {
  readonly #deps: ReporterDeps;
  /** Of what is being judged. */
  readonly #shown = new Map<string, Shown>();
  /** One after the other: what was told later must be kept later. */
  #work: Promise<void> = Promise.resolve();

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  queued(changes: readonly ChangeListing[]): void {
    for (const { id, kind } of changes) {
      if (isShown(kind)) this.#report(id, (change) => queuedGates(change));
    }
  }

  awaiting(changes: readonly ChangeListing[]): void {
    for (const { id } of changes) this.#report(id, gatesOfAwaiting);
  }

  ended(ids: readonly string[]): void {
    for (const id of ids) this.#report(id, gatesAtRest);
  }

  judging(event: JudgeEvent): void {
    if (!('change' in event) || !isShown(event.change.kind)) return;
    const { id } = event.change;
    switch (event.kind) {
      case 'started':
        this.#shown.set(id, {
          ...{ title: 'Being evaluated', shownAtMs: this.#deps.clock() },
          ...{ jobs: new Map(), checks: new Map() },
        });
        return this.#report(id, (change) => runningGates(change, 'Being evaluated', []));
      case 'finished':
        this.#shown.delete(id);
        return this.#report(id, gatesAtRest);
      case 'retries':
        this.#shown.delete(id);
        return this.#report(id, (change) => waitingGates(change, event.fault));
      case 'stopped':
        // What is queued again is judged again, and told then.
        if (event.reason !== 'not-wanted' && event.reason !== 'lease-lost') return;
        this.#shown.delete(id);
        return this.#report(id, gatesAtRest);
      case 'bug':
        return;
    }
  }

  progress({ id, kind }: StoredChange, event: ReviewEvent): void {
    const shown = this.#shown.get(id);
    if (!isShown(kind) || shown === undefined) return;
    if (event.type === 'evaluating' && !shown.jobs.has(event.job)) shown.jobs.set(event.job, null);
    else if (event.type === 'planned') shown.jobs.set(event.job, plannedTitle(event));
    else if (event.type === 'check-queued') shown.checks.set(event.check, 'queued');
    else if (event.type === 'check-started') shown.checks.set(event.check, 'running');
    else if (event.type === 'check-finished') shown.checks.set(event.check, finishedCheck(event));
    else if (event.type === 'build-finished') shown.title = `Built ${event.finished} of ${event.total}`;
    else return;
    const { clock, progressMs = 15_000 } = this.#deps;
    const isNew = event.type !== 'build-finished';
    if (!isNew && clock() - shown.shownAtMs < progressMs) return;
    shown.shownAtMs = clock();
    const jobs = Array.from(shown.jobs, ([job, title]): JobProgress => ({ job, title }));
    const checks = [...shown.checks];
    this.#report(id, (change) => [...runningGates(change, shown.title, jobs), ...checkGates(change, checks)]);
  }

  accessChanged(host: string): void {
    const { database, clock, wake, onFault } = this.#deps;
    this.#work = this.#work
      .then(async () => {
        if ((await database.gates.retryGivenUp(host, clock())) > 0) wake();
      })
      .catch(onFault);
  }

  async reconcile(): Promise<void> {
    // What kept a forge from taking something may be mended by now.
    for (const host of this.#deps.hosts) this.accessChanged(host);
    const ids = new Set<string>();
    for (const host of this.#deps.hosts) {
      for await (const gate of unfinishedOf(this.#deps, host)) {
        const id = changeIdOfGate(readGate(gate)?.gate.externalId ?? '');
        if (id !== null) ids.add(id);
      }
    }
    for (const id of ids) this.#report(id, gatesAtRest);
    await this.settled();
  }

  settled(): Promise<void> {
    return this.#work;
  }

  #report(id: string, gatesOf: (change: ReportedChange, row: StoredChange) => readonly Gate[]): void {
    this.#work = this.#work.then(() => this.#keep(id, gatesOf)).catch(this.#deps.onFault);
  }

  async #keep(
    id: string,
    gatesOf: (change: ReportedChange, row: StoredChange) => readonly Gate[],
  ): Promise<void> {
    const { database, publicUrl, clock, wake } = this.#deps;
    const row = await database.changes.find(id);
    if (row === null || !isShown(row.kind)) return;
    const { host, repository, defaultBranch } = readOffered(row);
    const { baseBranch, head } = row;
    // The first is what its kind alone means.
    const forge = this.#deps.hosts.indexOf(host) > 0 ? host : 'github';
    const page =
      row.kind === 'group' ? `commits/${head}/change-summary` : `prs/${forge}/${repository}/${row.number}`;
    const detailsUrl = `${publicUrl}/v1/${page}`;
    const checkUrlOf = (check: string): string => `${publicUrl}/v1/checks/${check}/log`;
    const wantedNow = gatesOf({ id, head, baseBranch, defaultBranch, detailsUrl, checkUrlOf }, row);
    if (wantedNow.length === 0) return;
    const stored = await database.gates.ofHead({ host, repository, headSha: head });
    const before = stored.flatMap((gate) => readGate(gate)?.gate ?? []);
    const gates =
      row.state === 'queued' || row.state === 'judging' ? wantedNow : settle(id, wantedNow, before);
    const place = { repository, baseBranch };
    const { repositoryId } = row;
    const wanted = gates.map((gate) =>
      wantedGateOf({ host, place, gate, priority: priorityOf(gate), repositoryId }),
    );
    await database.gates.want(wanted, clock());
    wake();
  }
}

/** Gates of jobs first: they are what a merge waits for. */
const priorityOf = ({ externalId }: Gate): number =>
  isFailureGate(externalId) ? 3 : isSummaryGate(externalId) ? 2 : 1;

/** Within how many failed packages may be shown; and what was shown of the change before does not stay as it was. */
const settle = (id: string, wanted: readonly Gate[], before: readonly Gate[]): Gate[] => {
  const own = before.filter(({ externalId }) => changeIdOfGate(externalId) === id);
  const failures = wanted.filter(({ externalId }) => isFailureGate(externalId));
  const shownBefore = own.filter(({ externalId }) => isFailureGate(externalId)).map(({ name }) => name);
  const room = { shownBefore: new Set(shownBefore), mayCreate: Number.POSITIVE_INFINITY };
  const { shown } = chooseFailureGates(failures, room);
  const gates = [...wanted.filter(({ externalId }) => !isFailureGate(externalId)), ...shown];
  const names = new Set(gates.map(({ name }) => name));
  return [...gates, ...own.filter(({ name }) => !names.has(name)).map(settledGate)];
};

const gatesOfAwaiting = (change: ReportedChange, { kind }: StoredChange): readonly Gate[] =>
  kind === 'group' ? awaitingGroupGates(change) : awaitingGates(change);

/** Of a change as its row has it now; none where it is going to be judged, for that tells by itself. */
const gatesAtRest = (change: ReportedChange, row: StoredChange): readonly Gate[] => {
  switch (row.state) {
    case 'awaiting-approval':
      return gatesOfAwaiting(change, row);
    case 'queued':
    case 'judging':
      return [];
    case 'superseded':
    case 'closed':
      return endedGates(change);
    case 'failed':
      return row.conclusion === 'cancelled'
        ? cancelledGates(change)
        : failedGates(change, row.fault ?? 'UNKNOWN');
    case 'judged': {
      const summary = StoredSummary.safeParse(JSON.parse(row.summaryJson ?? 'null'));
      if (summary.success) {
        return [
          ...judgedGates(change, summary.data, row.markdown ?? ''),
          ...failureGates(change, summary.data),
          ...sizeGates(change, summary.data.jobs),
        ];
      }
      return failedGates(
        change,
        'SUMMARY_UNREADABLE: it was judged by another version of EkaCI; judge it again',
      );
    }
  }
};

export const createReporter = (deps: ReporterDeps): Reporter => new GateReporter(deps);
