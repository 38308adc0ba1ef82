// A publication → the runs of hooks that follow from it. Pure.
import type { CommitSha } from '@eka-ci/core/ids';
import type { Permissions } from '../../config/permissions.ts';
import type { NewHookRun } from '../../database/database.ts';
import { isStillPermitted, type Publication } from '../publish/publication.ts';

export type HookOccasion = 'success' | 'failure' | 'fod';

/** As ekaci.toml has it. */
export interface Hook {
  readonly id: string;
  readonly on: readonly HookOccasion[];
  readonly permissions: Permissions;
}

type JobBuild = Publication['jobs'][number]['builds'][number];

const isOccasion = ({ on }: Pick<Hook, 'on'>, { state, fixedOutput }: JobBuild): boolean => {
  if (state === 'failed') return on.includes('failure');
  return on.includes('success') || (fixedOutput && on.includes('fod'));
};

/** Each hook once for each build, for the first job that names it. */
export const wantHooks = (
  { place, commit, jobs }: Publication,
  changeId: string,
  hooks: ReadonlyMap<string, Hook>,
): NewHookRun[] => {
  const { repository, branch } = place;
  const wanted = new Map<string, NewHookRun>();
  for (const { name: job, hooks: named, builds } of jobs) {
    for (const id of named) {
      const hook = hooks.get(id);
      // The publication may be older than the configuration that holds now.
      if (hook === undefined || !isStillPermitted(hook.permissions, place)) continue;
      for (const build of builds.filter((one) => isOccasion(hook, one))) {
        const { drv, attempt, state: buildState } = build;
        const key = `${id} ${drv} ${attempt}`;
        if (wanted.has(key)) continue;
        const cause = { repository, branch, job, commitSha: commit as CommitSha, changeId };
        wanted.set(key, { hook: id, drv, attempt, buildState, ...cause });
      }
    }
  }
  return [...wanted.values()];
};
