// One change from the queue, through the pipeline, to what is kept of it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { ChangeResult, StoredChange } from '../database/database.ts';
import type { ForgeRepository } from '../forge/forge.ts';
import { createWorkFolder } from '../lib/work-folder.ts';
import type { SideLimits } from './evaluate-sides.ts';
import { type Judgement, type PipelineDeps, runPipeline } from './pipeline.ts';
import { sourceOf } from './repository-source.ts';

export interface JudgeChangeDeps {
  readonly repositories: readonly ForgeRepository[];
  /** The pipeline of one judgement, which ends with the signal. */
  readonly pipelineFor: (signal: AbortSignal, onEvent: (event: ReviewEvent) => void) => PipelineDeps;
  readonly limits: SideLimits;
  /** One bare mirror a repository. */
  readonly mirrorsDir: string;
  /** Told what happens to a change while it happens. */
  readonly onEvent: (change: StoredChange, event: ReviewEvent) => void;
}

/** Thrown when a change's repository is not in the configuration any more. */
export class RepositoryNotServedError extends Error {
  readonly code = 'REPOSITORY_NOT_SERVED';
  constructor(name: string) {
    super(
      `${name} is not served any more: put it back into git_repositories, or leave its changes as they are`,
    );
    this.name = 'RepositoryNotServedError';
  }
}

const longestTitle = 500;

const requireRepository = (deps: JudgeChangeDeps, name: string): ForgeRepository => {
  const repository = deps.repositories.find((one) => one.name === name);
  if (repository === undefined) throw new RepositoryNotServedError(name);
  return repository;
};

/** Another place for another URL: the old mirror's branches are none of the new one's. */
const mirrorOf = (deps: JudgeChangeDeps, { name, url }: ForgeRepository): string => {
  const digest = createHash('sha256')
    .update(JSON.stringify([name, url]))
    .digest('hex');
  return join(deps.mirrorsDir, `${digest.slice(0, 32)}.git`);
};

const toResult = (
  change: StoredChange,
  { summary, markdown, base, judgedTree, subject }: Judgement,
): Extract<ChangeResult, { state: 'judged' }> => ({
  state: 'judged',
  base,
  judgedTree,
  title: subject === '' ? change.title : subject.slice(0, longestTitle),
  conclusion: summary.conclusion,
  summaryJson: JSON.stringify(summary),
  markdown,
});

/** @throws what runPipeline throws; RepositoryNotServedError */
export const judgeStoredChange = async (
  deps: JudgeChangeDeps,
  change: StoredChange,
  signal: AbortSignal,
): Promise<Extract<ChangeResult, { state: 'judged' }>> => {
  const repository = requireRepository(deps, change.repository);
  const onEvent = (event: ReviewEvent): void => deps.onEvent(change, event);
  const folder = await createWorkFolder('ekaci-judge-');
  try {
    const request = {
      source: sourceOf(repository.url),
      repository: repository.name,
      number: change.number,
      base: `refs/heads/${repository.baseBranch}`,
      head: change.head,
      merge: true,
      mirrorFolder: mirrorOf(deps, repository),
      jobs: [],
      build: true,
      limits: deps.limits,
      // Anybody who can push a branch has code evaluated here.
      sandbox: 'required' as const,
      folder: folder.path,
    };
    return toResult(change, await runPipeline(deps.pipelineFor(signal, onEvent), request, signal));
  } finally {
    await folder.remove();
  }
};
