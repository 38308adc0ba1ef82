// What a change's row means to the pipeline: one request for each kind of change.
import { join } from 'node:path';
import type { StoredChange } from '../database/database.ts';
import { baselineBuildOf, type ForgeRepository } from '../forge/forge.ts';
import { type HostedForge, hostedName } from '../forge/hosted-forge.ts';
import type { BaselineRequest } from './judge-baseline.ts';
import type { MirrorNeed } from './mirrors.ts';
import { OfferUnreadableError } from './offered-request.ts';
import type { PipelineRequest } from './pipeline.ts';
import { mirrorNameOf } from './repository-mirror.ts';
import { sourceOf } from './repository-source.ts';
import { readSubmission } from './stored-submission.ts';

/** The rest is the server's: how much it may take, and where. */
export interface ChangeRequest extends Omit<PipelineRequest, 'id' | 'limits' | 'folder'> {
  /** A baseline alone has it. */
  readonly baseline?: Pick<BaselineRequest, 'branch' | 'allowed'>;
  /** For whoever fetches; nothing of a judgement does. */
  readonly authorization?: MirrorNeed['authorization'];
}

export interface ChangeRequestDeps {
  readonly repositories: readonly ForgeRepository[];
  /** @default none */
  readonly hosted?: readonly HostedForge[];
  /** Which pushed branches are kept as baselines, and how much of them is built; the first that matches counts. */
  readonly baselines?: ForgeRepository['baselines'];
  /** One bare mirror a repository. */
  readonly mirrorsDir: string;
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

const requireRepository = (deps: ChangeRequestDeps, name: string): ForgeRepository => {
  const repository = deps.repositories.find((one) => one.name === name);
  if (repository === undefined) throw new RepositoryNotServedError(name);
  return repository;
};

export const mirrorOf = (
  deps: ChangeRequestDeps,
  repository: Pick<ForgeRepository, 'name' | 'url'>,
): string => join(deps.mirrorsDir, mirrorNameOf(repository));

/** What all changes of a configured repository have in common. */
const servedRequest = (
  deps: ChangeRequestDeps,
  change: StoredChange,
  repository: ForgeRepository & { readonly mirror?: Pick<ForgeRepository, 'name' | 'url'> },
) => ({
  source: sourceOf(repository.url),
  repository: repository.name,
  head: change.head,
  mirrorFolder: mirrorOf(deps, repository.mirror ?? repository),
  jobs: [],
  build: true,
  // Anybody who can push a branch has code evaluated here.
  sandbox: 'required' as const,
});

const branchRequest = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  const repository = requireRepository(deps, change.repository);
  return {
    ...servedRequest(deps, change, repository),
    number: change.number,
    base: `refs/heads/${repository.baseBranch}`,
    merge: true,
  };
};

/** Of a hosted forge, by the name under which its changes are kept; null for any other. */
export const hostedOf = (
  { hosted = [] }: Pick<ChangeRequestDeps, 'hosted'>,
  name: string,
): { readonly forge: HostedForge; readonly repository: string } | null => {
  for (const forge of hosted) {
    const prefix = hostedName(forge.host, '');
    if (name.startsWith(prefix)) return { forge, repository: name.slice(prefix.length) };
  }
  return null;
};

/** What a repository of a hosted forge is to git. @throws RepositoryNotServedError */
const hostedRepository = (
  deps: ChangeRequestDeps,
  { repository: name, repositoryId, branch }: StoredChange,
) => {
  const found = hostedOf(deps, name);
  if (found === null) throw new RepositoryNotServedError(name);
  const { forge, repository } = found;
  const { baselines } = deps;
  return {
    forge,
    repository,
    // Where it is a baseline it is its own base.
    served: {
      ...{ name, url: forge.cloneUrl(repository), baseBranch: branch, pollIntervalMs: 0 },
      // By its number: whoever has its name after it finds nothing of it, and it keeps it under another one.
      ...(repositoryId !== undefined && { mirror: { name: `${forge.host}#${repositoryId}`, url: '' } }),
      ...(baselines !== undefined && { baselines }),
    },
  };
};

const authorizationOf =
  ({ forge, repository }: { readonly forge: HostedForge; readonly repository: string }) =>
  async (signal: AbortSignal): Promise<string | null> =>
    (await forge.cloneAccess(repository, signal)).authorization;

const offeredRequest = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  const hosted = hostedRepository(deps, change);
  const { forge, served } = hosted;
  const { baseBranch } = change;
  if (baseBranch === null) throw new OfferUnreadableError(change.id);
  const request = servedRequest(deps, change, served);
  return {
    ...request,
    // Also of a fork, and where its branch is gone: the forge keeps it.
    source: { kind: 'url', url: served.url, refs: [forge.headRefOf(change.number)] },
    authorization: authorizationOf(hosted),
    inputReader: hosted,
    number: change.number,
    base: `refs/heads/${baseBranch}`,
    merge: true,
  };
};

/** What a merge queue made, as it is: nothing else will be merged. */
const groupRequest = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  const hosted = hostedRepository(deps, change);
  const { served } = hosted;
  return {
    ...servedRequest(deps, change, served),
    // By its commit: the queue deletes its branch at any moment.
    source: { kind: 'url', url: served.url, refs: [change.head] },
    authorization: authorizationOf(hosted),
    inputReader: hosted,
    base: change.base,
    merge: false,
  };
};

/** A base branch as it is, against where it was; how much of it is built is decided when its configuration is read. */
const baselineRequest = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  const hosted = hostedOf(deps, change.repository);
  const repository =
    hosted === null ? requireRepository(deps, change.repository) : hostedRepository(deps, change).served;
  return {
    ...servedRequest(deps, change, repository),
    ...(hosted !== null && { authorization: authorizationOf(hosted), inputReader: hosted }),
    base: change.base,
    merge: false,
    // Kept no more, after a new start with another configuration: then nothing is built for it.
    baseline: { branch: change.branch, allowed: baselineBuildOf(repository, change.branch) ?? 'evaluate' },
  };
};

const submittedRequest = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  const { submission, baseName } = readSubmission(change);
  const { source, merge, jobs, file, build, sandbox } = submission;
  const common = {
    repository: change.repository,
    base: change.base,
    head: change.head,
    names: { base: baseName, head: submission.head },
    merge,
    jobs,
    file,
    build,
    sandbox,
  };
  if (source.kind === 'local') return { ...common, source };
  // What was found when it was submitted, also where no branch leads there any more.
  const refs = [...new Set([change.head, ...(change.base === null ? [] : [change.base])])];
  const mirrorFolder = mirrorOf(deps, { name: source.url, url: source.url });
  return { ...common, source: { ...source, refs }, mirrorFolder };
};

/** @throws RepositoryNotServedError, SubmissionUnreadableError */
export const requestFor = (deps: ChangeRequestDeps, change: StoredChange): ChangeRequest => {
  switch (change.kind) {
    case 'branch':
      return branchRequest(deps, change);
    case 'baseline':
      return baselineRequest(deps, change);
    case 'submitted':
      return submittedRequest(deps, change);
    case 'offered':
      return offeredRequest(deps, change);
    case 'group':
      return groupRequest(deps, change);
  }
};
