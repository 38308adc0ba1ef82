// Which jobs a tree's configuration asks for, as targets of evaluation.
import type { EvaluationTarget } from '@eka-ci/nix/evaluator/evaluator';
import type { RepositoryConfig } from '../config/repository-config.ts';

export interface Job {
  readonly name: string;
  readonly target: EvaluationTarget;
  /** Null: all that the evaluation gives. */
  readonly systems: readonly string[] | null;
  readonly allowEvalFailures: boolean;
}

/** What a flake may see of the commit it belongs to. */
export interface FlakeCommit {
  readonly rev: string;
  /** Seconds since 1970. */
  readonly lastModified: number;
}

const attrNames = /"((?:[^"\\]|\\.)*)"|([^."]+)/g;

/** Names of a dotted attribute path as the configuration's schema allows it. */
export const splitAttrPath = (text: string): readonly string[] =>
  [...text.matchAll(attrNames)].map(([, quoted, plain]) => quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');

const fileJobs = (config: RepositoryConfig): Job[] =>
  Object.entries(config.jobs).map(([name, job]) => ({
    name,
    target: {
      kind: 'file',
      file: job.file,
      attrPath: job.attr_path === undefined ? [] : splitAttrPath(job.attr_path),
    },
    systems: job.systems ?? null,
    allowEvalFailures: job.allow_eval_failures,
  }));

const flakeJobs = (config: RepositoryConfig, system: string, commit: FlakeCommit): Job[] =>
  (['packages', 'checks'] as const)
    .filter((output) => config.flake[output].enable)
    .map((output) => ({
      name: `flake.${output}`,
      target: { kind: 'flake', output, systems: [system], ...commit },
      systems: null,
      allowEvalFailures: true,
    }));

/**
 * @param system the only one that flake jobs are evaluated for
 * @returns by name in code-unit order
 */
export const jobsOf = (config: RepositoryConfig, system: string, commit: FlakeCommit): readonly Job[] =>
  [...fileJobs(config), ...flakeJobs(config, system, commit)].toSorted((a, b) => (a.name < b.name ? -1 : 1));
