// How the repositories of a hosted forge are seen, for operators.
import type { RepositoryStatus } from '../../forge/forge.ts';
import type { EventRepository } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { faultText } from './hosted-fault.ts';

export interface HostedRepositoryStatus extends RepositoryStatus {
  readonly forge: Pick<HostedForge, 'kind' | 'host' | 'capabilities'>;
  /** `owner/repo` */
  readonly repository: string;
  readonly isPrivate: boolean;
  readonly defaultBranch: string;
}

interface Seen {
  readonly repository: EventRepository;
  lastSeenAtMs: number | null;
  failures: number;
  fault: string | null;
}

export interface HostedStatuses {
  /** It was listed. */
  listed(repository: EventRepository, atMs: number): void;
  /** Something in it was asked for, and how that went. */
  asked(repository: EventRepository, error: unknown): void;
  /** A sweep has come to its end: what it did not list is not served any more. */
  swept(names: ReadonlySet<string>): void;
  /** A sweep has failed. */
  sweepFailed(error: unknown): void;
  all(): readonly HostedRepositoryStatus[];
  /** A sentence where the forge as a whole cannot be asked; else none. */
  warnings(): readonly string[];
}

export const createHostedStatuses = (forge: HostedForge): HostedStatuses => {
  const seen = new Map<string, Seen>();
  let sweep = { failures: 0, fault: null as string | null };
  const seenOf = (repository: EventRepository): Seen => {
    const known = seen.get(repository.name);
    const now = { lastSeenAtMs: null, failures: 0, fault: null, ...known, repository };
    seen.set(repository.name, now);
    return now;
  };
  return {
    listed(repository, atMs) {
      seenOf(repository).lastSeenAtMs = atMs;
    },
    asked(repository, error) {
      // Only of what is shown: the others need no memory.
      const known = seen.get(repository.name);
      if (known === undefined) return;
      known.failures = error === null ? 0 : known.failures + 1;
      known.fault = error === null ? null : faultText(error);
    },
    swept(names) {
      sweep = { failures: 0, fault: null };
      for (const name of seen.keys()) if (!names.has(name)) seen.delete(name);
    },
    sweepFailed(error) {
      sweep = { failures: sweep.failures + 1, fault: faultText(error) };
    },
    all: () =>
      [...seen.values()].map(({ repository, lastSeenAtMs, failures, fault }) => ({
        forge,
        repository: repository.name,
        isPrivate: repository.isPrivate,
        defaultBranch: repository.defaultBranch,
        lastSeenAtMs,
        failures: fault === null ? sweep.failures : failures,
        fault: fault ?? sweep.fault,
        warnings: [],
      })),
    warnings: () => (sweep.fault === null ? [] : [`${forge.host} cannot be asked: ${sweep.fault}`]),
  };
};
