// A base branch as it is now: judged against where it was when it was last judged, so that changes find it warm.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadRepositoryConfig, maxConfigBytes } from '../config/repository-config.ts';

import type { BaselineBuild } from '../forge/forge.ts';
import { GitError, type Mirror } from '../git/git.ts';
import { chooseBuild } from './choose-build.ts';
import { type Judgement, type PipelineDeps, type PipelineRequest, runPipeline } from './pipeline.ts';

export interface BaselineRequest extends PipelineRequest {
  readonly branch: string;
  /** By the server's configuration. */
  readonly allowed: BaselineBuild;
}

/** False for a commit that the repository does not have any more: a branch was moved by force, and tidied up. */
const isThere = async (mirror: Mirror, revision: string): Promise<boolean> => {
  try {
    await mirror.resolve(revision);
    return true;
  } catch (error) {
    if (error instanceof GitError && error.code === 'GIT_REVISION_NOT_FOUND') return false;
    throw error;
  }
};

/** What decides is read from the baseline itself: it is the base of all changes to come. */
const readBuild = async (mirror: Mirror, { head, allowed, branch }: BaselineRequest) => {
  const { tree } = await mirror.resolve(head);
  const loaded = await loadRepositoryConfig({
    read: (path) => mirror.readFile(tree, path, maxConfigBytes + 1),
  });
  return chooseBuild(allowed, loaded.kind === 'valid' ? loaded.config.branches : [], branch);
};

const inFolder = async (request: PipelineRequest, name: string): Promise<PipelineRequest> => {
  const folder = join(request.folder, name);
  await mkdir(folder);
  return { ...request, folder };
};

/**
 * Without a base (the branch was never seen before) `changed` only evaluates: everything would be a change, and an
 * operator who wants a whole set built says so by `all`. That builds every root, and then judges what the push changed.
 * @throws as runPipeline
 */
export const judgeBaseline = async (
  deps: PipelineDeps,
  request: BaselineRequest,
  signal: AbortSignal,
): Promise<Judgement> => {
  const mirrorFolder = request.mirrorFolder ?? join(request.folder, 'mirror.git');
  const mirror = await deps.git.openMirror(request.source, mirrorFolder, signal);
  const build = await readBuild(mirror, request);
  const hasBase = request.base !== null && (await isThere(mirror, request.base));
  const common: PipelineRequest = {
    ...request,
    mirrorFolder,
    merge: false,
    everyTree: true,
    // Nobody waits for its verdict; the base's failures are taken as they come.
    buildAgain: false,
    build: build === 'all' || (build === 'changed' && hasBase),
  };
  const alone = { ...common, base: null };
  if (!hasBase) return runPipeline(deps, await inFolder(alone, 'alone'), signal);
  if (build === 'all') await runPipeline(deps, await inFolder(alone, 'alone'), signal);
  return runPipeline(deps, await inFolder(common, 'compared'), signal);
};
