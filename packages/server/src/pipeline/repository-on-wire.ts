// Repositories as clients are told of them: their addresses may hold credentials, and are not among it.
import type { Repository } from '@eka-ci/protocol/repository';
import type { Forge } from '../forge/forge.ts';
import { hostedName } from '../forge/hosted-forge.ts';
import type { HostedRepositoryStatus } from './hosted/hosted-statuses.ts';

/** @param fetching names of repositories whose commits are on their way */
export const repositoriesOnWire = (
  forge: Pick<Forge, 'kind' | 'capabilities' | 'repositories' | 'status'>,
  fetching: readonly string[],
): Repository[] => {
  const statuses = new Map(forge.status().map((status) => [status.repository, status]));
  return forge.repositories.map(({ name, baseBranch }) => {
    const status = statuses.get(name);
    return {
      forge: forge.kind,
      name,
      baseBranch,
      capabilities: { ...forge.capabilities },
      fetching: fetching.includes(name),
      lastSeenAtMs: status?.lastSeenAtMs ?? null,
      failures: status?.failures ?? 0,
      fault: status?.fault ?? null,
      warnings: [...(status?.warnings ?? [])],
    };
  });
};

/**
 * @param fetching as above, by the names under which changes are kept
 * @param hosts of all forges, in the order of the configuration: the first is known by its kind alone
 */
export const hostedOnWire = (
  statuses: readonly HostedRepositoryStatus[],
  fetching: readonly string[],
  hosts: readonly string[],
): Repository[] =>
  statuses.map(({ forge, repository, defaultBranch, lastSeenAtMs, failures, fault, warnings }) => ({
    forge: hosts.indexOf(forge.host) > 0 ? forge.host : forge.kind,
    name: repository,
    baseBranch: defaultBranch,
    capabilities: { ...forge.capabilities },
    fetching: fetching.includes(hostedName(forge.host, repository)),
    lastSeenAtMs,
    failures,
    fault,
    warnings: [...warnings],
  }));
