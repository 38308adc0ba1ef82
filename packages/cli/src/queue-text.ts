// The queue for people: builders with what keeps them out, what runs, and what waits by its reason.
import type { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import type { BuilderStatus, Builders } from '@eka-ci/protocol/builder';
import { formatAge, tableText } from './answer-text.ts';
import { formatDuration, plural } from './progress/progress-view.ts';

export interface QueueAnswer {
  readonly builders: Builders['builders'];
  readonly active: ActiveBuilds['builds'];
  readonly queued: BuildQueue;
}

export interface ReasonGroup {
  /** What they wait for, without a name; null where it was not looked for. */
  readonly reason: string | null;
  readonly count: number;
  /** The first of them. */
  readonly name: string;
  readonly drvPath: string;
}

type Waiting = BuildQueue['builds'][number];

/** A reason is a sentence that begins with the derivation's name: what is left says the same of all alike. */
export const reasonOf = ({ name, why }: Pick<Waiting, 'name' | 'why'>): string | null => {
  if (why === null) return null;
  return (why.startsWith(`${name} `) ? why.slice(name.length + 1) : why).replace(/\.$/, '');
};

/** Those that wait for the same together, most first. */
export const groupReasons = (builds: readonly Waiting[]): readonly ReasonGroup[] => {
  const groups = new Map<string | null, ReasonGroup>();
  for (const build of builds) {
    const reason = reasonOf(build);
    const { name, drvPath } = build;
    const group = groups.get(reason) ?? { reason, count: 0, name, drvPath };
    groups.set(reason, { ...group, count: group.count + 1 });
  }
  return [...groups.values()].toSorted((a, b) => b.count - a.count);
};

export const outageText = (
  { reason, retryAtMs }: NonNullable<BuilderStatus['outage']>,
  nowMs: number,
): string => {
  const again = retryAtMs > nowMs ? `in ${formatDuration(retryAtMs - nowMs)}` : 'now';
  return `out: ${reason}; asked again ${again}`;
};

const builderRow = ({ name, slots, running, outage }: BuilderStatus, nowMs: number): readonly string[] => [
  name,
  `${running.build} of ${slots.build}`,
  slots.fixedOutput === 0 ? '' : `${running.fixedOutput} of ${slots.fixedOutput}`,
  outage === null ? 'up' : outageText(outage, nowMs),
];

const runningRow = (build: QueueAnswer['active'][number]): readonly string[] => {
  const { name, phase, elapsedMs, expectedMs, builder } = build;
  const expected = expectedMs === null ? '' : ` of ~${formatAge(expectedMs)}`;
  return [name, phase ?? 'building', `${formatAge(elapsedMs)}${expected}`, `on ${builder}`];
};

const groupRow = ({ reason, count, name }: ReasonGroup): readonly string[] => [
  String(count),
  count === 1 ? name : `${name}, …`,
  reason ?? 'not looked for: "ekaci drv why" tells',
];

const waitingText = ({ total, builds }: BuildQueue, isListed: boolean): string => {
  if (builds.length === 0) return '';
  const hidden = total - builds.length;
  const more = hidden > 0 ? `and ${plural(hidden, 'build')} more that wait\n` : '';
  const table = isListed
    ? tableText(
        ['BUILD', 'WAITS'],
        builds.map((build) => [build.name, reasonOf(build) ?? '']),
      )
    : tableText(['WAITING', 'BUILDS', ''], groupReasons(builds).map(groupRow));
  return table + more;
};

/** @param isListed each that waits has a line of its own */
export const queueText = (
  { builders, active, queued }: QueueAnswer,
  { isListed, nowMs }: { readonly isListed: boolean; readonly nowMs: number },
): string => {
  const rows = builders.map((builder) => builderRow(builder, nowMs));
  const running = tableText(['RUNNING', 'PHASE', 'FOR', ''], active.map(runningRow));
  const parts = [
    tableText(['BUILDER', 'BUILDS', 'FETCHES', ''], rows),
    active.length === 0 ? '' : running,
    waitingText(queued, isListed),
  ];
  if (active.length + queued.total === 0) parts.push('Nothing is being built, and nothing waits.\n');
  return parts.filter((part) => part !== '').join('\n');
};
