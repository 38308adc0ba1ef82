// What is kept of a change for the question who may answer for it: which packages it touches, and whose they are.

import type { UnjudgedJob } from '@eka-ci/core/change-summary/build';
import {
  findChangedPackages,
  type JobPackages,
  type Maintains,
  mayAnswerForAll,
  packagesWithout,
} from '@eka-ci/core/changed-packages';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import { z } from 'zod';
import type { PlannedJob } from '../judge.ts';

const ids = z.array(z.number()).readonly();
const ChangePackages = z.object({
  schemaVersion: z.literal(1),
  /** False: of one of the jobs nobody knows what it touches. */
  isWhole: z.boolean(),
  jobs: z
    .array(
      z.object({
        job: z.string(),
        changed: z
          .array(
            z.object({
              attr: z.string(),
              file: z.string().nullable(),
              maintainerIds: ids,
              isCause: z.boolean(),
            }),
          )
          .readonly(),
        isComplete: z.boolean(),
        foreignFiles: z.array(z.string()).readonly(),
        maintained: z.array(z.tuple([z.string(), ids]).readonly()).readonly(),
      }),
    )
    .readonly(),
});

export interface ChangePackages {
  readonly schemaVersion: 1;
  readonly isWhole: boolean;
  readonly jobs: readonly JobPackages[];
}

/** Linear in the rows of all plans. */
export const findPackages = (
  jobs: readonly (PlannedJob | UnjudgedJob)[],
  graph: DrvGraph,
): ChangePackages => ({
  schemaVersion: 1,
  isWhole: jobs.every((job) => job.kind === 'planned' || job.conclusion === 'success'),
  jobs: jobs.flatMap((job) => (job.kind === 'planned' ? [findChangedPackages(job.plan, graph)] : [])),
});

export const writePackages = (packages: ChangePackages): string => JSON.stringify(packages);

/** Null where it was kept by another version: judged again it is known. */
export const readPackages = (json: string): ChangePackages | null => {
  try {
    return ChangePackages.parse(JSON.parse(json));
  } catch {
    return null;
  }
};

/** @param paths all of the diff */
export const maintainsChange = (
  { isWhole, jobs }: ChangePackages,
  paths: readonly string[],
  maintains: Maintains,
): boolean => isWhole && mayAnswerForAll(jobs, paths, maintains);

/** Packages that none of these people maintains; null where nobody knows all packages. */
export const packagesLeft = (
  { isWhole, jobs }: ChangePackages,
  maintains: readonly Maintains[],
): readonly string[] | null =>
  isWhole && jobs.every(({ isComplete }) => isComplete) ? packagesWithout(jobs, maintains) : null;

/** Whether somebody maintains an attribute in every job that has it. */
export const maintainsAttr = ({ jobs }: ChangePackages, attr: string, maintains: Maintains): boolean => {
  const known = jobs.flatMap(({ maintained, changed }) => [
    ...maintained.flatMap(([name, maintainerIds]) => (name === attr ? [maintainerIds] : [])),
    ...changed.flatMap((one) => (one.attr === attr ? [one.maintainerIds] : [])),
  ]);
  const all = known.length === 0 ? [[]] : known;
  return all.every((maintainerIds) => maintains({ attr, maintainerIds }));
};
