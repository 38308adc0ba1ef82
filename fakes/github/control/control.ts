// The remote control of a fake: what each command gives, and all of them as one type.
import type { RequestRecord, Violation } from '../http/journal.ts';
import type { HeldParcel } from '../webhooks/outbox.ts';
import type { CommandInput, CommandName, ParsedInput } from './commands.ts';

export interface ReadRun {
  readonly id: number;
  readonly suiteId: number;
  readonly appId: number;
  readonly name: string;
  readonly status: string;
  readonly conclusion: string | null;
  readonly externalId: string;
  readonly detailsUrl: string | null;
  readonly output: {
    readonly title: string | null;
    readonly summary: string | null;
    readonly text: string | null;
  };
  readonly annotations: readonly {
    readonly path: string;
    readonly message: string;
    readonly start_line: number;
  }[];
  readonly actions: readonly { readonly label: string; readonly identifier: string }[];
}

export interface ReadComment {
  readonly id: number;
  readonly author: string;
  readonly body: string;
  readonly reactions: readonly { readonly author: string; readonly content: string }[];
}

export interface ReadPull {
  readonly id: number;
  readonly number: number;
  readonly state: 'closed' | 'open';
  readonly draft: boolean;
  readonly headSha: string;
  readonly baseSha: string;
  readonly merged: boolean;
  readonly mergeSha: string | null;
  /** Null where head and base do not go together. */
  readonly testMergeSha: string | null;
  readonly queued: boolean;
}

export interface ReadDelivery {
  readonly id: number;
  readonly guid: string;
  readonly appId: number;
  readonly event: string;
  readonly action: string | null;
  readonly status: string;
  readonly statusCode: number;
  readonly redelivery: boolean;
  readonly payload: string;
}

/** What the commands that give something give. */
interface Given {
  readonly createUser: { readonly id: number; readonly login: string; readonly token: string };
  readonly createOrganization: { readonly id: number };
  readonly createRepository: NewRepositoryFacts;
  readonly fork: NewRepositoryFacts;
  readonly createApp: {
    readonly id: number;
    readonly clientId: string;
    readonly clientSecret: string;
    /** PEM, PKCS#1. */
    readonly privateKey: string;
  };
  readonly install: { readonly id: number };
  readonly push: { readonly sha: string };
  readonly openPull: { readonly id: number; readonly number: number; readonly headSha: string };
  readonly openIssue: { readonly number: number };
  readonly mergePull: { readonly sha: string };
  readonly comment: { readonly id: number };
  readonly review: { readonly id: number };
  readonly startWorkflowRun: { readonly id: number };
  readonly enqueue: { readonly groupRef: string; readonly groupSha: string };
  readonly addFault: { readonly id: number };
  readonly listHeld: readonly HeldParcel[];
  readonly readChecks: readonly ReadRun[];
  readonly readStatuses: readonly {
    readonly context: string;
    readonly state: string;
    readonly description: string | null;
    readonly targetUrl: string | null;
  }[];
  readonly readComments: readonly ReadComment[];
  readonly readPull: ReadPull;
  readonly readBranches: Readonly<Record<string, string>>;
  readonly readQueue: readonly {
    readonly number: number;
    readonly groupRef: string;
    readonly groupSha: string;
  }[];
  readonly readDeliveries: readonly ReadDelivery[];
  readonly readRequests: readonly RequestRecord[];
  readonly readViolations: readonly Violation[];
}

export interface NewRepositoryFacts {
  readonly id: number;
  /** For git over HTTP. */
  readonly cloneUrl: string;
  /** The bare repository itself; after pushing to it by path: `noticeBranches`. */
  readonly folder: string;
  /** Where the default branch is. */
  readonly head: string;
}

export type CommandResult<Name extends CommandName> = Name extends keyof Given ? Given[Name] : null;

export type CommandHandlers = {
  readonly [Name in CommandName]: (
    input: ParsedInput<Name>,
  ) => CommandResult<Name> | Promise<CommandResult<Name>>;
};

/** The fake's remote control: each command as a method. @throws ControlError when the fake refuses it */
export type Control = {
  readonly [Name in CommandName]: (input: CommandInput<Name>) => Promise<CommandResult<Name>>;
};
