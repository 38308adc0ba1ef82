// What the contract of hosted forges needs of the forge behind a driver: to make things there, to see them, to break it.

import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import type { TestContext } from 'vitest';
import type { ForgeCapabilities } from '../forge.ts';
import type { ForgeRepositoryId, ForgeUser } from '../forge-event.ts';
import type { GateConclusion } from '../gate.ts';
import type { HostedForge, RawDelivery } from '../hosted-forge.ts';
import type { ForgeRight } from '../hosted-talk.ts';

/** A gate as people see it on a commit. */
export interface ShownGate {
  readonly id: number;
  readonly name: string;
  readonly externalId: string;
  readonly state: 'queued' | 'in-progress' | GateConclusion;
  readonly title: string;
  readonly annotations: readonly { readonly path: string; readonly message: string }[];
  /** Their identifiers. */
  readonly actions: readonly string[];
}

/** A comment as people see it. `text` is without what the driver finds its own by. */
export interface ShownComment {
  readonly id: number;
  readonly isOurs: boolean;
  readonly text: string;
  /** In the forge's own words, each of one person once. */
  readonly reactions: readonly string[];
}

/** `owner/repo` and a number in it. */
export interface OpenedChange {
  readonly repository: string;
  readonly number: number;
  readonly headSha: CommitSha;
}

export interface Push {
  readonly repository: string;
  readonly branch: string;
  /** By path; null removes the file. */
  readonly files: Readonly<Record<string, string | null>>;
  /** What the commit says of itself, in milliseconds since 1970. */
  readonly atMs?: number;
}

export interface Opening extends Omit<Push, 'branch'> {
  readonly by: Pick<ForgeUser, 'login'>;
  readonly isDraft?: boolean;
  /** From a repository of theirs. @default false: from a branch of the repository itself */
  readonly isFromFork?: boolean;
}

/** One for each test; nothing of another test is in it. Commands reject where the forge does not take them. */
export interface ForgeWorld {
  readonly forge: HostedForge;
  /** Public and served unless it says otherwise, with a branch `main` that holds `README.md`. */
  createRepository(facts?: {
    readonly isPrivate?: boolean;
    /** False: the permissions of the driver do not name it. */
    readonly isPermitted?: boolean;
  }): Promise<ForgeRepositoryId & { readonly mainSha: CommitSha }>;
  rename(repository: string): Promise<{ readonly name: string }>;
  createPerson(login: string): Promise<ForgeUser>;
  setRight(repository: string, login: string, right: Exclude<ForgeRight, 'none'>): Promise<void>;
  /** On top of the branch. */
  push(given: Push): Promise<CommitSha>;
  /** Begins at `main`, with one commit. */
  openChange(given: Opening): Promise<OpenedChange>;
  /** Another commit in its branch. */
  moveChange(change: OpenedChange): Promise<CommitSha>;
  closeChange(change: OpenedChange): Promise<void>;
  /** As text is written by hand, our marker included where `as` is a key of ours. */
  comment(
    change: OpenedChange,
    given: { readonly by: Pick<ForgeUser, 'login'>; readonly text: string; readonly as?: string },
  ): Promise<number>;
  deleteComment(change: OpenedChange, commentId: number): Promise<void>;
  comments(change: OpenedChange): Promise<readonly ShownComment[]>;
  gates(repository: string, sha: CommitSha): Promise<readonly ShownGate[]>;
  allowMethods(repository: string, methods: readonly MergeMethod[]): Promise<void>;
  /** `main` takes nothing without a check that nobody makes. */
  protectMain(repository: string): Promise<void>;
  /** `main` takes changes through a merge queue alone. */
  queueMain(repository: string): Promise<void>;
  /** Something happens, and is told; for want of an answer it is told once more. */
  tellTwice(): Promise<readonly [RawDelivery, RawDelivery]>;
  /** Whatever is asked fails, until `recover`. */
  fail(fault: { readonly mayPass: boolean; readonly retryAtMs: number | null }): Promise<void>;
  /** Whatever is asked is not answered, or only after a pause that the forge asks for. */
  stall(how: 'silent' | 'asks-for-a-pause'): Promise<void>;
  recover(): Promise<void>;
  /** How much the forge was asked so far. */
  askedCount(): Promise<number>;
}

export const patience = (): AbortSignal => AbortSignal.timeout(20_000);

/** Skips, and says so, what a driver says that it cannot do. */
export const needs = (
  { forge }: Pick<ForgeWorld, 'forge'>,
  capability: keyof ForgeCapabilities,
  { skip }: Pick<TestContext, 'skip'>,
): void => {
  skip(!forge.capabilities[capability], `${forge.kind} has no ${capability}`);
};
