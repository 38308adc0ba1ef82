// Stage: both trees' configuration files → the jobs to judge, each with what it is on either side.
import type { TreeSha } from '@eka-ci/core/ids';
import {
  type LoadedConfig,
  loadRepositoryConfig,
  maxConfigBytes,
  type RepositoryConfig,
} from '../config/repository-config.ts';
import type { Mirror } from '../git/git.ts';
import type { CheckedOut } from './checkout.ts';
import { type AskedCheck, checksOf } from './checks/asked-checks.ts';
import { type Job, jobsOf } from './jobs.ts';

export interface JudgedJobPair {
  readonly name: string;
  readonly judged: Job;
  /** Null where the base has no such job: everything it gives is new then. */
  readonly base: Job | null;
}

export interface JobsToJudge {
  readonly jobs: readonly JudgedJobPair[];
  /** Of the judged tree. */
  readonly checks: readonly AskedCheck[];
  readonly judgedConfig: RepositoryConfig;
  /** What decides trust is read from here; null where the base has none that can be read. */
  readonly baseConfig: RepositoryConfig | null;
  /** Jobs of the base that the judged tree no longer has, by name. */
  readonly removedJobs: readonly string[];
  /** Sentences for the summary. */
  readonly warnings: readonly string[];
}

export type LoadJobsErrorCode = 'CONFIG_ABSENT' | 'CONFIG_INVALID' | 'JOB_NOT_FOUND' | 'CONFIG_WITHOUT_JOBS';

/** Thrown when the judged tree does not say what to judge. */
export class LoadJobsError extends Error {
  readonly code: LoadJobsErrorCode;
  constructor(code: LoadJobsErrorCode, message: string) {
    super(message);
    this.name = 'LoadJobsError';
    this.code = code;
  }
}

const load = (mirror: Mirror, tree: TreeSha): Promise<LoadedConfig> =>
  loadRepositoryConfig({ read: (path) => mirror.readFile(tree, path, maxConfigBytes + 1) });

const example = '{ "jobs": { "packages": { "file": "default.nix" } } }';

const requireConfig = (loaded: LoadedConfig): Extract<LoadedConfig, { kind: 'valid' }> => {
  switch (loaded.kind) {
    case 'valid':
      return loaded;
    case 'absent':
      throw new LoadJobsError(
        'CONFIG_ABSENT',
        `the repository has no .eka-ci/config.json, so there is nothing to judge; commit one such as ${example}`,
      );
    case 'invalid': {
      const place = loaded.line === null ? '' : `:${loaded.line}:${loaded.column}`;
      throw new LoadJobsError('CONFIG_INVALID', `${loaded.file}${place}: ${loaded.message}`);
    }
  }
};

const baseWarnings = (base: LoadedConfig | null): string[] => {
  switch (base?.kind) {
    // Judged against nothing, as it was asked for.
    case undefined:
    case 'valid':
      return [];
    case 'absent':
      return ['The base has no configuration file: everything counts as added.'];
    case 'invalid':
      return [`The base's ${base.file} cannot be read (${base.message}): everything counts as added.`];
  }
};

/** Systems that the change no longer asks for: what it breaks there is not looked at. */
const narrowed = (jobs: readonly JudgedJobPair[]): string[] =>
  jobs.flatMap(({ name, base, judged }) => {
    if (base === null || judged.systems === null) return [];
    const kept = judged.systems;
    const left =
      base.systems === null ? 'others' : base.systems.filter((system) => !kept.includes(system)).join(', ');
    if (left === '') return [];
    return [`The change makes ${name} look at ${kept.join(', ')} only: ${left} are no longer judged.`];
  });

interface Named {
  readonly jobs: readonly Job[];
  readonly checks: readonly AskedCheck[];
}

/** A check has a name of its own, which no job has. */
const select = ({ jobs, checks }: Named, wanted: readonly string[]): Named => {
  if (jobs.length + checks.length === 0) {
    throw new LoadJobsError(
      'CONFIG_WITHOUT_JOBS',
      `the configuration file names no job and no check, so there is nothing to judge; add one such as ${example}`,
    );
  }
  const known = [...jobs, ...checks].map(({ name }) => name);
  const missing = wanted.find((name) => !known.includes(name));
  if (missing !== undefined) {
    throw new LoadJobsError(
      'JOB_NOT_FOUND',
      `there is no job "${missing}"; the jobs${checks.length === 0 ? '' : ' and checks'} are: ${known.join(', ')}`,
    );
  }
  if (wanted.length === 0) return { jobs, checks };
  const isWanted = ({ name }: { readonly name: string }): boolean => wanted.includes(name);
  return { jobs: jobs.filter(isWanted), checks: checks.filter(isWanted) };
};

/**
 * @param wanted names of jobs and checks; empty means all
 * @param isBase true: others will have the judged tree for their base, so that its own configuration decides trust
 * @param system the one that flake jobs are evaluated for
 * @throws LoadJobsError; GitError
 */
export const loadJobs = async (
  { mirror, base, head, judgedTree }: CheckedOut,
  wanted: readonly string[],
  { system, isBase }: { readonly system: string; readonly isBase: boolean },
): Promise<JobsToJudge> => {
  const judged = requireConfig(await load(mirror, judgedTree));
  const ofBase = base === null ? null : await load(mirror, base.tree);
  const commitOf = ({ sha, committedAt }: CheckedOut['head']) => ({
    rev: sha,
    lastModified: Math.floor(committedAt / 1000),
  });
  const baseJobs =
    base !== null && ofBase?.kind === 'valid' ? jobsOf(ofBase.config, system, commitOf(base)) : [];
  const baseConfig = ofBase?.kind === 'valid' ? ofBase.config : null;
  const named = {
    jobs: jobsOf(judged.config, system, commitOf(head)),
    checks: checksOf(judged.config, isBase ? judged.config : baseConfig),
  };
  const selected = select(named, wanted);
  const jobs = selected.jobs.map((job) => ({
    name: job.name,
    judged: job,
    base: baseJobs.find(({ name }) => name === job.name) ?? null,
  }));
  const names = new Set(jobs.map(({ name }) => name));
  const removedJobs =
    wanted.length > 0 ? [] : baseJobs.map(({ name }) => name).filter((name) => !names.has(name));
  return {
    jobs,
    removedJobs,
    checks: selected.checks,
    judgedConfig: judged.config,
    baseConfig,
    warnings: [...judged.warnings, ...baseWarnings(ofBase), ...narrowed(jobs)],
  };
};
