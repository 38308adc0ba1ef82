// All state of one fake, and what happens in it.
import type { Git } from '../git/git.ts';
import type {
  Account,
  App,
  CheckRun,
  CheckSuite,
  Comment,
  CommitStatus,
  Delivery,
  Installation,
  Issue,
  Pull,
  QueueEntry,
  Repository,
  Review,
  Token,
  WorkflowRun,
} from './entities.ts';
import type { JsonObject } from './json.ts';

export interface Clock {
  readonly now: () => number;
  /** From now on the fake's clock is `skewMs` ahead of the machine's. */
  setSkew(skewMs: number): void;
}

/** Something that apps are told. Each gets it with its own installation, if that may know. */
export interface Occurrence {
  readonly event: string;
  readonly action: string | null;
  readonly sender: Account;
  /** Null where it is about an installation and no repository. */
  readonly repository: Repository | null;
  /** Only this app hears of it, and whether it subscribed does not count. */
  readonly onlyTo?: { readonly appId: number; readonly installation: Installation | null };
  readonly body: JsonObject;
}

export interface World {
  readonly clock: Clock;
  /** Without a slash at the end. */
  readonly urls: { api: string; web: string };
  /** Where bare repositories are. */
  readonly folder: string;
  readonly git: Git;
  readonly accounts: Map<number, Account>;
  readonly repositories: Map<number, Repository>;
  /** Names that repositories had: `owner/name` in small letters → id. */
  readonly formerNames: Map<string, number>;
  readonly issues: Map<number, Issue>;
  readonly pulls: Map<number, Pull>;
  readonly reviews: Map<number, Review>;
  readonly comments: Map<number, Comment>;
  readonly checkSuites: Map<number, CheckSuite>;
  readonly checkRuns: Map<number, CheckRun>;
  readonly statuses: Map<number, CommitStatus>;
  readonly workflowRuns: Map<number, WorkflowRun>;
  readonly queue: Map<number, QueueEntry>;
  readonly apps: Map<number, App>;
  readonly installations: Map<number, Installation>;
  readonly tokens: Map<string, Token>;
  /** In addresses of archives → which commit of which private repository each opens. */
  readonly archiveWords: Map<string, string>;
  readonly deliveries: Map<number, Delivery>;
  /** Unique among everything in this world. */
  nextId(): number;
  publish(occurrence: Occurrence): void;
}

export const createClock = (): Clock => {
  let skew = 0;
  return {
    now: () => Date.now() + skew,
    setSkew: (skewMs) => {
      skew = skewMs;
    },
  };
};

/** An empty world; `publish` is whoever tells the apps. */
export const createWorld = (given: Pick<World, 'clock' | 'folder' | 'git' | 'publish' | 'urls'>): World => {
  let lastId = 1000;
  return {
    ...given,
    accounts: new Map(),
    repositories: new Map(),
    formerNames: new Map(),
    issues: new Map(),
    pulls: new Map(),
    reviews: new Map(),
    comments: new Map(),
    checkSuites: new Map(),
    checkRuns: new Map(),
    statuses: new Map(),
    workflowRuns: new Map(),
    queue: new Map(),
    apps: new Map(),
    installations: new Map(),
    tokens: new Map(),
    archiveWords: new Map(),
    deliveries: new Map(),
    nextId: () => {
      lastId += 1;
      return lastId;
    },
  };
};

/** What must be there, or the fake itself is wrong. */
export const mustGet = <K, V>(map: ReadonlyMap<K, V>, key: K): V => {
  const value = map.get(key);
  if (value === undefined) throw new Error(`the fake lost ${String(key)}`);
  return value;
};
