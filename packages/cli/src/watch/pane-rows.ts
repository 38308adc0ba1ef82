// The rows of each pane: what is said of builders, builds, changes and failures.
import { formatAge } from '../answer-text.ts';
import { formatDuration, plural } from '../progress/progress-view.ts';
import { outageText, reasonOf } from '../queue-text.ts';
import type { Charset } from '../screen-text.ts';
import type { Tone } from './styled-line.ts';
import type { Cell, Column } from './table.ts';
import type { Failure, PaneName, ServerFacts, WatchState } from './watch-state.ts';

export interface PaneTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

type Builder = ServerFacts['builders'][number];
type Change = ServerFacts['open']['changes'][number];

const fixed = (most: number, rank: number): Column => ({ least: most, most, rank });
const flexible = (least: number, most: number, rank: number): Column => ({ least, most, rank });

/** Minutes and seconds are enough for what moves. */
export const formatWait = (ms: number): string =>
  ms < 60_000 ? `${Math.round(ms / 1000)}s` : formatDuration(ms);

/** Facts are as old as their answer: what has passed since then has passed for them too. */
const sinceAnswer = ({ nowMs, factsAtMs }: WatchState): number => Math.max(0, nowMs - factsAtMs);

const buildersTable = ({ facts, nowMs }: WatchState, { unicode }: Charset): PaneTable => {
  const [up, out] = unicode ? ['●', '○'] : ['+', '!'];
  const rowOf = ({ name, systems, slots, running, speed, outage }: Builder): readonly Cell[] => [
    outage === null ? { text: up, tone: 'good' } : { text: out, tone: 'bad' },
    { text: name, tone: 'strong' },
    { text: `${running.build}/${slots.build} builds` },
    { text: slots.fixedOutput === 0 ? '' : `${running.fixedOutput}/${slots.fixedOutput} fetches` },
    outage === null
      ? { text: systems.filter((one) => one !== 'builtin').join(' '), tone: 'faint' }
      : { text: outageText(outage, nowMs), tone: 'bad' },
    { text: speed === 1 ? '' : `speed ${speed}`, tone: 'faint' },
  ];
  return {
    columns: [
      fixed(1, 0),
      flexible(12, 40, 0),
      fixed(16, 1),
      fixed(16, 3),
      flexible(16, 80, 2),
      fixed(12, 4),
    ],
    rows: facts?.builders.map(rowOf) ?? [],
  };
};

const expectedText = (elapsedMs: number, expectedMs: number | null): Cell => {
  if (expectedMs === null) return { text: '' };
  const isLate = elapsedMs > 2 * expectedMs + 10_000;
  return { text: `of ~${formatWait(expectedMs)}`, tone: isLate ? 'warn' : 'faint' };
};

const runningTable = (state: WatchState): PaneTable => {
  const passedMs = sinceAnswer(state);
  const rows = (state.facts?.active ?? []).map((build): readonly Cell[] => {
    const { name, system, builder, attempt, phase, elapsedMs, expectedMs } = build;
    const forMs = elapsedMs + passedMs;
    return [
      { text: name, tone: 'strong' },
      { text: formatWait(forMs) },
      expectedText(forMs, expectedMs),
      { text: phase ?? '' },
      { text: builder, tone: 'faint' },
      { text: attempt > 1 ? `attempt ${attempt}` : '', tone: 'warn' },
      { text: system ?? '', tone: 'faint' },
    ];
  });
  const columns = [
    flexible(16, 60, 0),
    fixed(7, 1),
    fixed(10, 4),
    flexible(6, 30, 2),
    flexible(5, 40, 3),
    fixed(11, 5),
    fixed(16, 6),
  ];
  return { columns, rows };
};

const queueTable = ({ facts }: WatchState): PaneTable => ({
  columns: [flexible(8, 50, 0), flexible(10, 200, 1)],
  rows: (facts?.queue.builds ?? []).map((build) => [
    { text: build.name, tone: 'strong' },
    { text: reasonOf(build) ?? '', tone: 'faint' },
  ]),
});

export const changeName = ({ repository, number, branch, kind }: Change): string => {
  if (kind === 'baseline') return `${repository} ${branch} (base)`;
  return `${repository} ${number === 0 ? '' : `#${number} `}${branch}`;
};

const progressText = ({ progress }: Change): string => {
  const { finished, total, failed } = progress;
  if (total === 0) return '';
  return `${finished}/${total} builds${failed === 0 ? '' : `, ${failed} not succeeded`}`;
};

const etaText = ({ progress }: Change, passedMs: number): string => {
  const { etaSeconds, finished, total } = progress;
  if (etaSeconds === null || finished === total) return '';
  const leftMs = Math.max(0, etaSeconds * 1000 - passedMs);
  return leftMs === 0 ? 'ends soon' : `~${formatWait(leftMs)} left`;
};

const stageTones: Readonly<Record<Change['progress']['stage'], Tone>> = {
  waiting: 'faint',
  'checking-out': 'plain',
  evaluating: 'plain',
  building: 'good',
};

const changesTable = (state: WatchState): PaneTable => {
  const rows = (state.facts?.open.changes ?? []).map((change): readonly Cell[] => {
    const { progress, fault, headSha } = change;
    return [
      { text: changeName(change), tone: 'strong' },
      { text: progress.stage.replace('-', ' '), tone: stageTones[progress.stage] },
      { text: progressText(change), tone: progress.failed === 0 ? 'plain' : 'warn' },
      { text: etaText(change, sinceAnswer(state)) },
      { text: fault === null ? '' : `tried again: ${fault.split('\n')[0]}`, tone: 'warn' },
      { text: headSha.slice(0, 12), tone: 'faint' },
    ];
  });
  const columns = [
    flexible(20, 60, 0),
    fixed(12, 1),
    flexible(10, 40, 2),
    fixed(14, 3),
    flexible(10, 60, 4),
    fixed(12, 5),
  ];
  return { columns, rows };
};

export const failureText = ({ state, cause, attempt, message }: Failure): string => {
  const again = attempt > 1 ? `, attempt ${attempt}` : '';
  const said = message === null ? '' : `: ${message}`;
  return `${state}${cause === null ? '' : ` (${cause})`}${again}${said}`;
};

const failuresTable = ({ failures, nowMs }: WatchState): PaneTable => ({
  columns: [fixed(8, 1), flexible(8, 50, 0), flexible(10, 200, 2)],
  rows: failures.map((failure) => [
    { text: `${formatAge(nowMs - failure.seenAtMs)} ago`, tone: 'faint' },
    { text: failure.name, tone: 'bad' },
    { text: failureText(failure) },
  ]),
});

export const paneTable = (state: WatchState, pane: PaneName, charset: Charset): PaneTable => {
  switch (pane) {
    case 'builders':
      return buildersTable(state, charset);
    case 'running':
      return runningTable(state);
    case 'queue':
      return queueTable(state);
    case 'changes':
      return changesTable(state);
    case 'failures':
      return failuresTable(state);
  }
};

const outOf = (builders: readonly Builder[]): number =>
  builders.filter(({ outage }) => outage !== null).length;

/** The pane's name, and how much there is of it. */
export const paneTitle = ({ facts, failures }: WatchState, pane: PaneName): string => {
  switch (pane) {
    case 'builders': {
      const out = outOf(facts?.builders ?? []);
      return `Builders ${facts?.builders.length ?? 0}${out === 0 ? '' : `, ${out} out`}`;
    }
    case 'running':
      return `Running ${facts?.active.length ?? 0}`;
    case 'queue':
      return `Queue ${(facts?.queue.total ?? 0).toLocaleString('en')}`;
    case 'changes': {
      const { judging, queued } = facts?.open.counts ?? { judging: 0, queued: 0 };
      return `Changes ${judging}${queued === 0 ? '' : `, ${queued} wait`}`;
    }
    case 'failures':
      return `Failures ${failures.length}`;
  }
};

/** What is said where there are no rows. */
export const emptyPane = ({ facts }: WatchState, pane: PaneName): string => {
  if (pane === 'failures') return 'none while you watch, of the last 15 minutes';
  if (facts === null) return 'asking';
  switch (pane) {
    case 'builders':
      return 'none';
    case 'running':
      return 'nothing is being built';
    case 'queue':
      return 'nothing waits';
    case 'changes':
      return 'none is being judged, none waits';
  }
};

/** How many rows there are beyond those that are known. */
export const beyondRows = ({ facts }: WatchState, pane: PaneName): number => {
  if (facts === null) return 0;
  if (pane === 'queue') return Math.max(0, facts.queue.total - facts.queue.builds.length);
  const { counts, changes } = facts.open;
  return pane === 'changes' ? Math.max(0, counts.queued + counts.judging - changes.length) : 0;
};

export const moreText = (count: number): string => `and ${plural(count, 'more', 'more')}`;
