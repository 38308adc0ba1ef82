// One change from the queue, through the pipeline, to what is kept of it.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { matchesRepository } from '../config/permissions.ts';
import type { ChangeResult, StoredChange } from '../database/database.ts';
import { ForgeError } from '../forge/forge.ts';
import { GitError, type GitSource } from '../git/git.ts';
import { createWorkFolder } from '../lib/work-folder.ts';
import { type ChangeRequestDeps, requestFor } from './change-request.ts';
import type { SideLimits } from './evaluate-sides.ts';
import { judgeBaseline } from './judge-baseline.ts';
import type { MirrorNeed } from './mirrors.ts';
import { type Judgement, type PipelineDeps, type PipelineRequest, runPipeline } from './pipeline.ts';
import { placeOf } from './publish/place-of.ts';
import { writePublication } from './publish/publication-parts.ts';
import { buildLimitOf, type RebuildPolicy } from './rebuild-policy.ts';
import { startTelling } from './tell-uncommitted.ts';

export interface JudgeChangeDeps extends ChangeRequestDeps {
  /** The pipeline of one judgement, which ends with the signal. */
  readonly pipelineFor: (signal: AbortSignal, onEvent: (event: ReviewEvent) => void) => PipelineDeps;
  readonly limits: SideLimits;
  readonly rebuild: RebuildPolicy;
  /** Patterns of repositories whose evaluation has the network. @default none */
  readonly allowNetwork?: readonly string[];
  /** Patterns of repositories whose checks may have the network; `*` is everything, what is submitted by hand too. @default none */
  readonly allowCheckNetwork?: readonly string[];
  /** Told what happens to a change while it happens. */
  readonly onEvent: (change: StoredChange, event: ReviewEvent) => void;
}

const longestTitle = 500;

const asFetched = (source: GitSource): GitSource =>
  source.kind === 'local' ? source : { ...source, fetch: false };

/** What the mirror must have before `judgeStoredChange`; null where there is none. @throws what requestFor throws */
export const mirrorNeedOf = (deps: ChangeRequestDeps, change: StoredChange): MirrorNeed | null => {
  const { source, mirrorFolder, authorization } = requestFor(deps, change);
  if (mirrorFolder === undefined) return null;
  const { repository, head, base, retryAtMs, createdAtMs } = change;
  const sinceMs = retryAtMs ?? createdAtMs;
  const access = authorization === undefined ? {} : { authorization };
  return { repository, source, folder: mirrorFolder, head, base, sinceMs, ...access };
};

const toResult = async (
  change: StoredChange,
  { summary, markdown, base, judgedTree, subject, hindrances, publication }: Judgement,
): Promise<Extract<ChangeResult, { state: 'judged' }>> => ({
  state: 'judged',
  base,
  judgedTree,
  // What a forge offers has a title there, and that is what people know it by.
  title: change.kind === 'offered' || subject === '' ? change.title : subject.slice(0, longestTitle),
  conclusion: summary.conclusion,
  summaryJson: JSON.stringify(summary),
  markdown,
  hindrances,
  publications: publication === null ? [] : await writePublication(publication),
});

/** Whether the branch that changes join is there now; any other fault is for others to tell. */
const isBaseGone = async (
  { git }: Pick<PipelineDeps, 'git'>,
  { source, mirrorFolder, base }: PipelineRequest,
  signal: AbortSignal,
): Promise<boolean> => {
  if (mirrorFolder === undefined || base === null || !base.startsWith('refs/heads/')) return false;
  const mirror = await git.openMirror(source, mirrorFolder, signal);
  const branches = await mirror.branches();
  return !branches.some(({ name }) => `refs/heads/${name}` === base);
};

/** As runPipeline; tells a base that is gone, and may come back, from a head that never will. @throws ForgeError */
const judgeChange: typeof runPipeline = async (pipeline, request, signal) => {
  try {
    return await runPipeline(pipeline, request, signal);
  } catch (error) {
    if (!(error instanceof GitError) || error.code !== 'GIT_REVISION_NOT_FOUND') throw error;
    if (!(await isBaseGone(pipeline, request, signal))) throw error;
    throw new ForgeError(
      'FORGE_BASE_MISSING',
      `there is no ${request.base} any more: push it, or set base_branch to the one that changes want to join`,
    );
  }
};

/** @throws what runPipeline throws; what requestFor throws; ForgeError FORGE_BASE_MISSING */
export const judgeStoredChange = async (
  deps: JudgeChangeDeps,
  change: StoredChange,
  signal: AbortSignal,
): Promise<Extract<ChangeResult, { state: 'judged' }>> => {
  const asked = requestFor(deps, change);
  const onEvent = (event: ReviewEvent): void => deps.onEvent(change, event);
  // Of what somebody asks for by hand nobody says where it belongs.
  const place = placeOf(deps.hosted ?? [], change);
  const pipeline = deps.pipelineFor(signal, onEvent);
  const folder = await createWorkFolder('ekaci-judge-');
  const telling = startTelling({ git: pipeline.git, onEvent }, { change, source: asked.source }, signal);
  try {
    const { baseline, authorization: _, ...rest } = asked;
    const request = {
      ...rest,
      // Mirrors.prepare has fetched: nothing of a judgement waits for a remote.
      source: asFetched(asked.source),
      buildLimit: buildLimitOf(change, deps.rebuild),
      // What somebody asks for by hand is judged, whatever it touches.
      skipPaths: change.kind === 'submitted' ? [] : deps.rebuild.skipPaths,
      limits: deps.limits,
      place,
      allowNetwork: place !== null && matchesRepository(deps.allowNetwork ?? [], place.repository),
      allowCheckNetwork:
        deps.allowCheckNetwork?.includes('*') === true ||
        (place !== null && matchesRepository(deps.allowCheckNetwork ?? [], place.repository)),
      id: change.id,
      folder: folder.path,
    };
    const judgement =
      baseline === undefined
        ? await judgeChange(pipeline, request, signal)
        : await judgeBaseline(pipeline, { ...request, ...baseline }, signal);
    return await toResult(change, judgement);
  } finally {
    await telling.end();
    await folder.remove();
  }
};
