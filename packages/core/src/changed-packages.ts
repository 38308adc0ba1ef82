// Which packages a change edits, whose they are by the base, and whether somebody may answer for all that it does.
import type { DrvGraph } from './drv-graph.ts';
import type { EvaluationRecord } from './evaluation.ts';
import { findEditedAttrs } from './rebuild-impact.ts';
import { isBuildRow, type PlanRow, type RebuildPlan } from './rebuild-plan.ts';

export interface ChangedPackage {
  /** As the job names it. */
  readonly attr: string;
  /** Where the base's `meta.position` leads, relative to the repository; null where it leads nowhere in there. */
  readonly file: string | null;
  /** User ids at GitHub, by the base's `meta.maintainers`; none of a package that the base does not have. */
  readonly maintainerIds: readonly number[];
  /** Its own inputs changed. False: it is led elsewhere, taken away, refused, or its maintainers are others. */
  readonly isCause: boolean;
}

/** Of one job. The judged tree has no say in it: whoever wrote that could name themselves. */
export interface JobPackages {
  readonly job: string;
  /** By attribute in code-unit order. */
  readonly changed: readonly ChangedPackage[];
  /** False: there are more than are listed. */
  readonly isComplete: boolean;
  /** Files in folders of changed packages where packages stand that the change leaves alone. */
  readonly foreignFiles: readonly string[];
  /** Who maintains what is rebuilt or fails, as fallout too; what nobody maintains is left out. */
  readonly maintained: readonly (readonly [attr: string, maintainerIds: readonly number[]])[];
}

/** Whoever edits more than that is nobody's maintainer. */
const mostChanged = 1000;

/** `file:line` */
const positionOf = (record: EvaluationRecord | null): string | null =>
  record === null || record.kind === 'failed' ? null : (record.meta?.position ?? null);

const fileOf = (record: EvaluationRecord | null): string | null => {
  const position = positionOf(record);
  if (position === null) return null;
  const file = position.replace(/:\d+$/, '');
  // Outside of the repository.
  return file === '' || file.startsWith('/') || file.split('/').includes('..') ? null : file;
};

const maintainersOf = (record: EvaluationRecord | null): readonly number[] =>
  record === null || record.kind === 'failed' ? [] : (record.meta?.maintainerIds ?? []);

/** `''` is the root of the repository. */
const folderOf = (file: string): string => file.slice(0, Math.max(0, file.lastIndexOf('/')));

const hasSameMaintainers = (base: EvaluationRecord, judged: EvaluationRecord): boolean => {
  const [before, after] = [maintainersOf(base), maintainersOf(judged)];
  return before.length === after.length && before.every((id, at) => id === after[at]);
};

/** Not by the fallout of what is below it, though nothing of it is built anew. */
const isTouched = (row: PlanRow, isRebuilt: (row: PlanRow) => boolean): boolean => {
  switch (row.change) {
    case 'unchanged':
      return !hasSameMaintainers(row.base, row.judged);
    case 'removed':
      return true;
    case 'unavailable':
    case 'unevaluable':
      return row.newly;
    case 'added':
      return !isRebuilt(row);
    case 'changed':
      // What need not be built was there under another name: this name was led to it.
      return !isRebuilt(row) || !hasSameMaintainers(row.base, row.judged);
  }
};

/** Linear in rows, rebuilt derivations and their edges. */
export const findChangedPackages = (plan: RebuildPlan, graph: DrvGraph): JobPackages => {
  const edited = new Set(findEditedAttrs(plan, graph));
  const isRebuilt = (row: PlanRow): boolean => {
    const id = isBuildRow(row) ? graph.find(row.judged.drvPath) : undefined;
    return id !== undefined && plan.rebuilt.set.has(id);
  };
  const changedRows = plan.rows.filter((row) => edited.has(row.attr) || isTouched(row, isRebuilt));
  const changed = changedRows.slice(0, mostChanged).map(
    ({ attr, base }): ChangedPackage => ({
      attr,
      file: fileOf(base),
      maintainerIds: maintainersOf(base),
      isCause: edited.has(attr),
    }),
  );
  const own = new Set(changedRows.map(({ attr }) => attr));
  const folders = new Set(changed.flatMap(({ file }) => (file === null ? [] : [folderOf(file)])));
  const foreign = new Set<string>();
  for (const { attr, base } of plan.rows) {
    const position = positionOf(base);
    // Its line changes nothing of its folder; and of nearly all packages no more need be known.
    if (position === null || !folders.has(folderOf(position)) || own.has(attr)) continue;
    const file = fileOf(base);
    if (file !== null) foreign.add(file);
  }
  return {
    job: plan.job,
    changed,
    isComplete: changedRows.length === changed.length,
    foreignFiles: [...foreign].toSorted(),
    maintained: plan.rows.flatMap(({ attr, base, change }) => {
      const ids = change === 'unchanged' ? [] : maintainersOf(base);
      return ids.length === 0 ? [] : [[attr, ids] as const];
    }),
  };
};

/** Whether somebody maintains a package: by its `maintainerIds`, or by what else is known of it. */
export type Maintains = (changed: Pick<ChangedPackage, 'attr' | 'maintainerIds'>) => boolean;

interface OwnFiles {
  /** Of changed packages. */
  readonly files: ReadonlySet<string>;
  readonly folders: ReadonlySet<string>;
  readonly foreign: ReadonlySet<string>;
}

const coversFile = ({ files, folders, foreign }: OwnFiles, path: string): boolean => {
  if (files.has(path)) return true;
  const folder = folderOf(path);
  // At the root stands what is everybody's; and so does what other tools are told by names that begin with a dot.
  if (folder === '' || path.slice(folder.length + 1).startsWith('.')) return false;
  return folders.has(folder) && !foreign.has(path);
};

/**
 * Whether all that a change does is of packages that somebody maintains: there are some, they maintain every one, and every
 * file of the diff is the file of one of these packages, or lies beside it and is no other package's own.
 * @param paths all of the diff, of removed and renamed files as well
 */
export const mayAnswerForAll = (
  jobs: readonly JobPackages[],
  paths: readonly string[],
  maintains: Maintains,
): boolean => {
  const all = jobs.flatMap(({ changed }) => changed);
  if (!all.some(({ isCause }) => isCause) || paths.length === 0) return false;
  if (!jobs.every(({ isComplete }) => isComplete) || !all.every((one) => maintains(one))) return false;
  const files = new Set(all.flatMap(({ file }) => file ?? []));
  const foreign = new Set(jobs.flatMap(({ foreignFiles }) => foreignFiles));
  const own = { files, folders: new Set([...files].map(folderOf)), foreign };
  return paths.every((path) => coversFile(own, path));
};

/** Those that none of these people maintains, by attribute; an empty list where every package has one of them. */
export const packagesWithout = (
  jobs: readonly JobPackages[],
  maintains: readonly Maintains[],
): readonly string[] => {
  const left = jobs.flatMap(({ changed }) =>
    changed.filter((one) => !maintains.some((someone) => someone(one))).map(({ attr }) => attr),
  );
  return [...new Set(left)].toSorted();
};
