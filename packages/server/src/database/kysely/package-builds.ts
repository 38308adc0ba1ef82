// What is learnt from builds about their packages, in the transaction that records them: so each counts exactly once.
import {
  addDuration,
  type PackageKey,
  packageKeyText,
  type RecentDurations,
} from '@eka-ci/core/build-durations';
import { isFlaky } from '@eka-ci/core/flaky';
import type { DrvPath } from '@eka-ci/core/ids';
import type { PackageHistory } from '../database.ts';
import { packageKeyOf } from '../package-key.ts';
import { answersOf } from './build-answers.ts';
import { flag } from './packed-nodes.ts';
import { insertRows, type Session, type SqlRow, type SqlValue, selectIn } from './session.ts';

export interface PackageCalls {
  historiesOf(keys: readonly PackageKey[]): Promise<readonly PackageHistory[]>;
  forget(updatedBeforeMs: number): Promise<number>;
}

/** A build that has just been recorded as done here. */
export interface RecordedBuild {
  readonly drv: DrvPath;
  readonly attempt: number;
  /** Null where its start is not known. */
  readonly durationMs: number | null;
  readonly atMs: number;
}

const columns = [
  'pname',
  'system',
  'fixed_output',
  'recent_ms',
  'flaky_builds',
  'flaky_at_ms',
  'updated_at_ms',
] as const;

const overwrite = `on conflict (pname, system, fixed_output) do update set ${columns
  .slice(3)
  .map((column) => `${column} = excluded.${column}`)
  .join(', ')}`;

const historyOf = (row: SqlRow): PackageHistory => ({
  pname: String(row['pname']),
  system: String(row['system']),
  fixedOutput: Number(row['fixed_output']) === 1,
  // The edge: `rowOf` wrote it.
  recentMs: JSON.parse(String(row['recent_ms'])) as RecentDurations,
  flakyBuilds: Number(row['flaky_builds']),
  flakyAtMs: row['flaky_at_ms'] === null ? null : Number(row['flaky_at_ms']),
});

const rowOf = (history: PackageHistory, atMs: number): SqlValue[] => {
  const { pname, system, fixedOutput, recentMs, flakyBuilds, flakyAtMs } = history;
  return [pname, system, fixedOutput ? 1 : 0, JSON.stringify(recentMs), flakyBuilds, flakyAtMs, atMs];
};

const readHistories = async (
  session: Session,
  keys: readonly PackageKey[],
): Promise<Map<string, PackageHistory>> => {
  const wanted = new Set(keys.map(packageKeyText));
  const names = [...new Set(keys.map(({ pname }) => pname))];
  const rows = await selectIn(
    session,
    `select ${columns.join(', ')} from package_builds where pname in ($list)`,
    names,
  );
  const histories = rows.map((row) => [packageKeyText(historyOf(row)), historyOf(row)] as const);
  return new Map(histories.filter(([key]) => wanted.has(key)));
};

const packagesOf = async (
  session: Session,
  drvs: readonly DrvPath[],
): Promise<ReadonlyMap<DrvPath, PackageKey>> => {
  const query = 'select path, system, flags from derivations where path in ($list)';
  const rows = await selectIn(session, query, [...drvs]);
  return new Map(
    rows.flatMap((row) => {
      const [path, system] = [row['path'] as DrvPath, row['system']];
      if (typeof system !== 'string') return [];
      const fixedOutput = (Number(row['flags']) & flag.fixedOutput) !== 0;
      return [[path, packageKeyOf(path, { system, fixedOutput })]];
    }),
  );
};

const fresh = (key: PackageKey): PackageHistory => ({
  ...key,
  recentMs: [],
  flakyBuilds: 0,
  flakyAtMs: null,
});

/** @param builds of the running transaction, recorded already, in their order */
export const learnFromBuilds = async (session: Session, builds: readonly RecordedBuild[]): Promise<void> => {
  if (builds.length === 0) return;
  const packages = await packagesOf(
    session,
    builds.map(({ drv }) => drv),
  );
  // The first answer of a derivation has none before it.
  const again = builds.filter(({ attempt }) => attempt > 1).map(({ drv }) => drv);
  const answers = again.length === 0 ? null : await answersOf(session, again);
  const histories = await readHistories(session, [...packages.values()]);
  const changed = new Map<string, SqlValue[]>();
  for (const { drv, durationMs, atMs } of builds) {
    const key = packages.get(drv);
    if (key === undefined) continue;
    const name = packageKeyText(key);
    const before = histories.get(name) ?? fresh(key);
    const recentMs = durationMs === null ? before.recentMs : addDuration(before.recentMs, durationMs);
    const flaky = isFlaky(answers?.get(drv) ?? [])
      ? { flakyBuilds: before.flakyBuilds + 1, flakyAtMs: atMs }
      : {};
    const after = { ...before, recentMs, ...flaky };
    histories.set(name, after);
    changed.set(name, rowOf(after, atMs));
  }
  await insertRows(session, { table: 'package_builds', columns, suffix: overwrite }, [...changed.values()]);
};

export const packageCalls = (session: Session): PackageCalls => ({
  historiesOf: async (keys) => [...(await readHistories(session, keys)).values()],
  async forget(updatedBeforeMs) {
    const result = await session.kysely
      .deleteFrom('package_builds')
      .where('updated_at_ms', '<', updatedBeforeMs)
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  },
});
