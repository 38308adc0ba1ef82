// Port: a forge that calls us, is asked for what it did not tell, and shows what we say. Nothing past a driver's folder
// knows its words.
import type { CommitSha } from '@eka-ci/core/ids';
import type { BranchTip, ForgeCapabilities } from './forge.ts';
import type { EventRepository, ForgeEvent, ForgeRepositoryId, OfferedChange } from './forge-event.ts';
import type { Gate } from './gate.ts';
import type { HostedMerging } from './hosted-merging.ts';
import type { HostedTalk } from './hosted-talk.ts';

/** As it came over HTTP, before anything of it is believed. */
export interface RawDelivery {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** To the byte. */
  readonly body: Uint8Array;
}

export type DeliveryReading =
  /** `id`: the same for every copy of one delivery, and for its redeliveries; unique in the forge. */
  | { readonly kind: 'event'; readonly id: string; readonly name: string; readonly event: ForgeEvent }
  /** It was proven, and tells nothing that we have a use for. */
  | { readonly kind: 'ignored'; readonly id: string; readonly name: string; readonly why: string }
  | {
      readonly kind: 'refused';
      readonly status: 400 | 401 | 413 | 415;
      /** A word for metrics. */
      readonly reason: string;
      readonly message: string;
    };

/** What git needs to read a repository now. */
export interface CloneAccess {
  /** Value of the HTTP `Authorization` header; null where anybody may read it. Good for some minutes. */
  readonly authorization: string | null;
}

/** Where the content of a repository is, as somebody wrote its address. */
export interface ForgeSource {
  /** `owner/repo`; whether there is one nobody has looked. */
  readonly repository: string;
  /** The repository itself, for git; or an archive of one of its commits. */
  readonly of: 'repository' | 'archive';
  /** Where the forge gives it to whoever may read it. */
  readonly url: string;
}

/** What a repository offers to be judged, as the forge has it now. */
export interface HostedListing {
  readonly repository: EventRepository;
  readonly changes: readonly OfferedChange[];
  /** False: there are more, and what is not listed is not closed for that. */
  readonly isComplete: boolean;
  readonly branches: readonly BranchTip[];
}

export interface GatePlace {
  /** `owner/repo` */
  readonly repository: string;
  /** The branch that the change wants to join, by which the app is chosen; null for a push. */
  readonly baseBranch: string | null;
}

/** What came of asking a forge to tell something once more. */
export interface Retold {
  /** Things that it was asked to tell. */
  readonly asked: number;
  /** What is for the next time. */
  readonly left: number;
  /** What it tells is refused here, because it proves nothing: it was asked for nothing. */
  readonly isUnproven: boolean;
}

/** Thrown by methods that ask the forge. */
export interface HostedForgeFault extends Error {
  readonly code: string;
  /** True: the same may go well later; false: somebody has to change something. */
  readonly mayPass: boolean;
  /** Not before, milliseconds since 1970; null where the forge does not say. */
  readonly retryAtMs: number | null;
}

export interface HostedForge extends HostedTalk, HostedMerging {
  readonly kind: 'github';
  /** Of its web pages, lower case; unique among the forges of a server: `github.com`. */
  readonly host: string;
  readonly capabilities: ForgeCapabilities;
  /** Its people have the ids by which packages name their maintainers (`githubId`): those of github.com. */
  readonly knowsGithubIds: boolean;
  /** Where it sends its webhooks on this server: `/github/webhook`. */
  readonly webhookPath: string;
  /** Largest body that it ever sends, in bytes. */
  readonly maxBodyBytes: number;
  /** Proof first, then meaning. Bounded in time, whatever comes; never throws. */
  read(delivery: RawDelivery): DeliveryReading;
  /** Whether its permissions let us serve it; asks nobody. */
  isPermitted(repository: string, baseBranch: string | null): boolean;
  /** As it is now, open or closed; null where there is none, or we may not see it. @throws HostedForgeFault */
  findChange(repository: string, number: number, signal: AbortSignal): Promise<OfferedChange | null>;
  /** Null where the branch is gone. @throws HostedForgeFault */
  findBranchTip(repository: string, branch: string, signal: AbortSignal): Promise<CommitSha | null>;
  /**
   * By its number, as it is now: under whatever name, which is the one that is asked for or another. Null where there is
   * none, we may not see it, or the permissions do not name it as it is called now.
   * @param repository its `id` is 0 where nobody knows it: then by its name @throws HostedForgeFault
   */
  findRepository(repository: ForgeRepositoryId, signal: AbortSignal): Promise<EventRepository | null>;
  /** Everything that is served, one repository after the other. @throws HostedForgeFault */
  listings(signal: AbortSignal): AsyncIterable<HostedListing>;
  /**
   * Has it tell what it tried in vain to tell us since then, as far as no listing shows it; a bounded number at a time,
   * each thing once. It comes as webhooks do. @param sinceMs milliseconds since 1970 @throws HostedForgeFault
   */
  retell(sinceMs: number, signal: AbortSignal): Promise<Retold>;
  /** Sentences for operators on what could be served and is not, as of the last listings; they name nothing hidden. */
  leftOut(): readonly string[];
  /** For git, without credentials. */
  cloneUrl(repository: string): string;
  /** @throws HostedForgeFault */
  cloneAccess(repository: string, signal: AbortSignal): Promise<CloneAccess>;
  /** What a URL means here, whoever wrote it; null: nothing, or nothing that is given to an app. Asks nobody. */
  findSource(url: string): ForgeSource | null;
  /**
   * What it takes to read that repository and no other, and nothing of it but its content, asked for by what speaks for
   * `reader`: where both are of one account and the permissions let us serve both. Null where that is not so, or nothing of
   * the kind is there for it. Good for some minutes. @throws HostedForgeFault
   */
  sourceAccess(
    source: Pick<ForgeSource, 'repository'>,
    reader: string,
    signal: AbortSignal,
  ): Promise<{ readonly authorization: string } | null>;
  /** The full name of the ref that holds the head of a change, for git: `refs/pull/12/head`. */
  headRefOf(number: number): string;
  /**
   * Idempotent: afterwards the commit shows one gate of this name, in this state.
   * @param knownId of an earlier time; null where it is not known
   * @returns the forge's id of it @throws HostedForgeFault
   */
  putGate(
    place: GatePlace,
    gate: Gate,
    known: { readonly id: number | null; readonly signal: AbortSignal },
  ): Promise<number>;
}

/** Under which name the changes of a repository of a hosted forge are kept. */
export const hostedName = (host: string, repository: string): string => `${host}/${repository}`;
