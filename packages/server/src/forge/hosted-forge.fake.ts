// A hosted forge in memory: repositories with changes and branches, what it would tell of them, and faults to order.
import { createHmac } from 'node:crypto';
import type { CommitSha } from '@eka-ci/core/ids';
import type { EventRepository, ForgeEvent, OfferedChange } from './forge-event.ts';
import type { Gate } from './gate.ts';
import type {
  DeliveryReading,
  HostedForge,
  HostedForgeFault,
  HostedListing,
  Retold,
} from './hosted-forge.ts';
import { createFakeMerging, type FakeMerging, judgeMerge } from './hosted-merging.fake.ts';
import type { ForgeRight, HostedTalk } from './hosted-talk.ts';

interface FakeRepository {
  readonly repository: EventRepository;
  /** Every one that there ever was, by number. */
  readonly changes: Map<number, OfferedChange>;
  readonly branches: Map<string, CommitSha>;
}

/** What `read` understands: whatever is told is in the body. */
export interface FakeDelivery {
  readonly id: string;
  readonly event: ForgeEvent | null;
}

export interface FakeHostedForge extends HostedForge, FakeMerging {
  /** To be changed by the test. A repository that is taken out is not to be seen any more. */
  readonly repositories: Map<string, FakeRepository>;
  /** What is asked next fails so, until it is null again. */
  fault: HostedForgeFault | null;
  /** True where a repository is permitted, and the base branch too. @default all */
  permits: (repository: string, baseBranch: string | null) => boolean;
  /** False: listings say that there is more. */
  isComplete: boolean;
  /** Called before each answer, while the asking one waits. */
  onAsked: (what: string) => Promise<void> | void;
  readonly asked: string[];
  /** Since when it was to tell once more, by call; in milliseconds since 1970. */
  readonly retells: number[];
  /** What comes of that. @default there is nothing to tell */
  retold: Retold | HostedForgeFault;
  addRepository(name: string, facts?: Pick<EventRepository, 'isPrivate'>): FakeRepository;
  /** What commits show, by `owner/repo sha name`. */
  readonly gates: Map<string, { readonly id: number; readonly gate: Gate }>;
  /** By `owner/repo login`. @default none */
  readonly rights: Map<string, ForgeRight>;
  /** Numbers of people, by login in lower case. @default whoever asks is whom they say */
  readonly people: Map<string, number>;
  /** By sha, in milliseconds since 1970. @default nobody tells */
  readonly commitTimes: Map<CommitSha, number>;
  /** In the order in which they were asked for; a repeated one is there twice. */
  readonly reactions: { readonly commentId: number; readonly reaction: string }[];
  /** What we said, by `owner/repo#number key`. */
  readonly comments: Map<string, string>;
  /** The number of each of those. */
  readonly commentIds: Map<string, number>;
  /** Comments of others that are gone. */
  readonly goneComments: Set<number>;
}

export class FakeForgeFault extends Error implements HostedForgeFault {
  readonly code = 'FAKE_FAULT';
  readonly mayPass: boolean;
  readonly retryAtMs: number | null;
  constructor(mayPass: boolean, retryAtMs: number | null = null) {
    super('the forge fails: wait, or mend it');
    this.mayPass = mayPass;
    this.retryAtMs = retryAtMs;
  }
}

export const fakeSha = (number: number): CommitSha => number.toString(16).padStart(40, '0') as CommitSha;

const proofOf = (body: string | Uint8Array): string =>
  createHmac('sha256', 'what both know').update(body).digest('hex');

/** With the proof that the fake forge would send along. */
export const proven = (body: string) => ({
  headers: { 'content-type': 'application/json', 'x-proof': proofOf(body) },
  body,
});

/** As the fake forge sends it. */
export const fakeRequest = (delivery: FakeDelivery) => proven(JSON.stringify(delivery));

const readDelivery: HostedForge['read'] = ({ headers, body }): DeliveryReading => {
  if (headers['x-proof'] !== proofOf(body)) {
    return {
      kind: 'refused',
      status: 401,
      reason: 'mismatch',
      message: 'the proof is wrong: mend the secret',
    };
  }
  let told: FakeDelivery;
  try {
    told = JSON.parse(Buffer.from(body).toString('utf8')) as FakeDelivery;
  } catch {
    return { kind: 'refused', status: 400, reason: 'not-json', message: 'the body is not JSON' };
  }
  const { id, event } = told;
  if (event === null) return { kind: 'ignored', id, name: 'star.created', why: 'is nothing that we act on' };
  return { kind: 'event', id, name: event.kind, event };
};

let nextRepositoryId = 1;
let nextId = 1;

const isSameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const createTalk = (
  forge: () => FakeHostedForge,
  ask: (what: string, signal: AbortSignal) => Promise<void>,
): HostedTalk => ({
  async rightOf(repository, { id, login }, signal) {
    await ask(`right ${repository} ${login}`, signal);
    const { people, rights } = forge();
    if ((people.get(login.toLowerCase()) ?? id) !== id) return 'none';
    return [...rights].find(([key]) => isSameName(key, `${repository} ${login}`))?.[1] ?? 'none';
  },
  async react({ repository, number }, { commentId, reaction }, signal) {
    await ask(`react ${repository}#${number}`, signal);
    if (forge().goneComments.has(commentId)) return false;
    forge().reactions.push({ commentId, reaction });
    return true;
  },
  async putComment({ repository, number }, { key, text }, { signal }) {
    await ask(`comment ${repository}#${number}`, signal);
    const { comments, commentIds } = forge();
    const name = `${repository}#${number} ${key}`;
    const id = (comments.has(name) ? commentIds.get(name) : undefined) ?? nextId++;
    comments.set(name, text);
    commentIds.set(name, id);
    return id;
  },
  async committedAt(repository, sha, signal) {
    await ask(`commit ${repository} ${sha}`, signal);
    return forge().commitTimes.get(sha) ?? null;
  },
});

/** @throws the signal's reason as soon as it aborts */
const orStop = async (waited: Promise<void>, signal: AbortSignal): Promise<void> => {
  const stopped = Promise.withResolvers<undefined>();
  const stop = (): void => stopped.resolve(undefined);
  signal.addEventListener('abort', stop);
  try {
    await Promise.race([waited, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
};

export const createFakeHostedForge = (host = 'forge.example.org', webhookPath = '/github/webhook') => {
  const repositories = new Map<string, FakeRepository>();
  const ask = async (what: string, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    forge.asked.push(what);
    await orStop(Promise.resolve(forge.onAsked(what)), signal);
    if (forge.fault !== null) throw forge.fault;
  };
  const repositoryOf = (name: string): FakeRepository | undefined =>
    repositories.get(name) ??
    [...repositories.values()].find(({ repository }) => isSameName(repository.name, name));
  const withPlace = ({ repository, changes }: FakeRepository, number: number): OfferedChange | null => {
    const change = changes.get(number);
    return change === undefined ? null : { ...change, repositoryId: repository.id };
  };
  const listingOf = ({ repository, changes, branches }: FakeRepository): HostedListing => ({
    repository,
    changes: [...changes.values()]
      .filter(({ isOpen }) => isOpen)
      .map((change) => ({ ...change, repositoryId: repository.id })),
    isComplete: forge.isComplete,
    branches: [...branches].map(([name, sha]) => ({ name, sha })),
  });
  const forge: FakeHostedForge = {
    kind: 'github',
    host,
    knowsGithubIds: true,
    capabilities: { comments: true, statuses: true },
    webhookPath,
    maxBodyBytes: 100_000,
    repositories,
    fault: null,
    permits: () => true,
    isComplete: true,
    onAsked: () => {},
    asked: [],
    retells: [],
    retold: { asked: 0, left: 0, isUnproven: false },
    addRepository(name, { isPrivate } = { isPrivate: false }) {
      const repository = { id: nextRepositoryId++, name, isPrivate, defaultBranch: 'main' };
      const added: FakeRepository = { repository, changes: new Map(), branches: new Map() };
      repositories.set(name, added);
      return added;
    },
    read: readDelivery,
    isPermitted: (repository, baseBranch) => forge.permits(repository, baseBranch),
    async findChange(repository, number, signal) {
      await ask(`change ${repository} ${number}`, signal);
      const found = forge.permits(repository, null) ? repositoryOf(repository) : undefined;
      return found === undefined ? null : withPlace(found, number);
    },
    async findBranchTip(repository, branch, signal) {
      await ask(`branch ${repository} ${branch}`, signal);
      return repositoryOf(repository)?.branches.get(branch) ?? null;
    },
    async findRepository({ id, name }, signal) {
      await ask(`repository ${name}`, signal);
      const all = [...repositories.values()].map(({ repository }) => repository);
      const found = all.find((one) => (id === 0 ? isSameName(one.name, name) : one.id === id));
      return found === undefined || !forge.permits(found.name, null) ? null : found;
    },
    async *listings(signal) {
      for (const name of [...repositories.keys()]) {
        await ask(`listing ${name}`, signal);
        const found = repositories.get(name);
        if (found !== undefined && forge.permits(name, null)) yield listingOf(found);
      }
      if (repositories.size === 0) await ask('listings', signal);
    },
    leftOut: () => [],
    retell(sinceMs) {
      forge.retells.push(sinceMs);
      const { retold } = forge;
      return retold instanceof Error ? Promise.reject(retold) : Promise.resolve(retold);
    },
    cloneUrl: (repository) => `https://${host}/${repository}.git`,
    cloneAccess: (repository) =>
      Promise.resolve({ url: `https://${host}/${repository}.git`, authorization: null }),
    findSource: (url) => {
      const begin = `https://${host}/`;
      const path = url.startsWith(begin) ? url.slice(begin.length) : '';
      const [, repository, archive] = /^([\w-]+\/[\w-]+)(?:\.git|(\/archive\/.+))?$/.exec(path) ?? [];
      if (repository === undefined) return null;
      return { repository, of: archive === undefined ? 'repository' : 'archive', url };
    },
    async sourceAccess({ repository }, reader, signal) {
      await ask(`content ${repository}`, signal);
      const isThere = repositoryOf(repository) !== undefined && repositoryOf(reader) !== undefined;
      const isOfOne = repository.split('/')[0]?.toLowerCase() === reader.split('/')[0]?.toLowerCase();
      const permits = forge.permits(repository, null) && forge.permits(reader, null);
      return isThere && isOfOne && permits ? { authorization: `for ${repository}` } : null;
    },
    headRefOf: (number) => `refs/pull/${number}/head`,
    async putGate({ repository }, gate, { signal }) {
      await ask(`gate ${repository} ${gate.name}`, signal);
      const key = `${repository} ${gate.headSha} ${gate.name}`;
      const id = forge.gates.get(key)?.id ?? nextId++;
      forge.gates.set(key, { id, gate });
      return id;
    },
    gates: new Map(),
    rights: new Map(),
    people: new Map(),
    commitTimes: new Map(),
    reactions: [],
    comments: new Map(),
    commentIds: new Map(),
    goneComments: new Set(),
    diffs: new Map(),
    queued: new Set(),
    groups: new Map(),
    mergeRulesOf: () => ({ methods: ['merge', 'squash', 'rebase'], hasQueue: false }),
    merging: (_, change, how) => (change === undefined ? { kind: 'gone' } : judgeMerge(forge, change, how)),
    ...createTalk(() => forge, ask),
    ...createFakeMerging({ fake: () => forge, repositoryOf, ask }),
  };
  return forge;
};
