// A hosted forge in memory: repositories with changes and branches, what it would tell of them, and faults to order.
import type { CommitSha } from '@eka-ci/core/ids';
import type { EventRepository, ForgeEvent, OfferedChange } from './forge-event.ts';
import type { DeliveryReading, HostedForge, HostedForgeFault, HostedListing } from './hosted-forge.ts';
import type { ChangedPaths, HostedMerging, MergeOutcome, MergeRules } from './hosted-merging.ts';
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

export interface FakeHostedForge extends HostedForge {
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
  addRepository(name: string): FakeRepository;
  /** By `owner/repo login`. @default none */
  readonly rights: Map<string, ForgeRight>;
  /** By sha, in milliseconds since 1970. @default nobody tells */
  readonly commitTimes: Map<CommitSha, number>;
  /** In the order in which they were asked for; a repeated one is there twice. */
  readonly reactions: { readonly commentId: number; readonly reaction: string }[];
  /** What we said, by `owner/repo#number key`. */
  readonly comments: Map<string, string>;
  mergeRulesOf: (repository: string, baseBranch: string) => MergeRules;
  /** What becomes of a merge, and of an entry into the queue; `merged` closes the change. */
  merging: (what: 'merge' | 'enqueue', change: OfferedChange | undefined) => MergeOutcome;
  /** By `owner/repo#number`. @default there are none */
  readonly diffs: Map<string, Omit<ChangedPaths, 'headSha'>>;
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

const proof = 'the right proof';

/** As the fake forge sends it. */
export const fakeRequest = (delivery: FakeDelivery) => ({
  headers: { 'content-type': 'application/json', 'x-proof': proof },
  body: JSON.stringify(delivery),
});

const readDelivery: HostedForge['read'] = ({ headers, body }): DeliveryReading => {
  if (headers['x-proof'] !== proof) {
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

type Ask = (what: string, signal: AbortSignal) => Promise<void>;

const createTalk = (forge: () => FakeHostedForge, ask: Ask): HostedTalk => ({
  async rightOf(repository, { login }, signal) {
    await ask(`right ${repository} ${login}`, signal);
    return forge().rights.get(`${repository} ${login}`) ?? 'none';
  },
  async react({ repository, number }, { commentId, reaction }, signal) {
    await ask(`react ${repository}#${number}`, signal);
    forge().reactions.push({ commentId, reaction });
    return true;
  },
  async putComment({ repository, number }, { key, text }, { signal }) {
    await ask(`comment ${repository}#${number}`, signal);
    const { comments } = forge();
    comments.set(`${repository}#${number} ${key}`, text);
    return [...comments.keys()].indexOf(`${repository}#${number} ${key}`) + 1;
  },
  async committedAt(repository, sha, signal) {
    await ask(`commit ${repository} ${sha}`, signal);
    return forge().commitTimes.get(sha) ?? null;
  },
});

const createMerging = (forge: () => FakeHostedForge, ask: Ask): HostedMerging => {
  const changeOf = (repository: string, number: number) =>
    forge().repositories.get(repository)?.changes.get(number);
  const mergeAs = (what: 'merge' | 'enqueue', repository: string, number: number): MergeOutcome => {
    const change = changeOf(repository, number);
    const outcome = forge().merging(what, change);
    if (outcome.kind === 'merged' && change !== undefined) {
      forge().repositories.get(repository)?.changes.set(number, { ...change, isOpen: false });
    }
    return outcome;
  };
  return {
    async mergeRules({ repository, baseBranch }, signal) {
      await ask(`rules ${repository} ${baseBranch}`, signal);
      return forge().mergeRulesOf(repository, baseBranch);
    },
    async merge({ repository, number }, { headSha, method }, signal) {
      await ask(`merge ${repository}#${number} ${headSha} ${method}`, signal);
      const isSame = changeOf(repository, number)?.headSha === headSha;
      return isSame ? mergeAs('merge', repository, number) : { kind: 'head-moved' };
    },
    async enqueue({ repository, number }, { headSha }, signal) {
      await ask(`enqueue ${repository}#${number} ${headSha}`, signal);
      const isSame = changeOf(repository, number)?.headSha === headSha;
      return isSame ? mergeAs('enqueue', repository, number) : { kind: 'head-moved' };
    },
    async changedPaths({ repository, number }, signal) {
      await ask(`paths ${repository}#${number}`, signal);
      const change = changeOf(repository, number);
      if (change === undefined) return null;
      const diff = forge().diffs.get(`${repository}#${number}`) ?? { paths: [], isComplete: true };
      return { ...diff, headSha: change.headSha };
    },
  };
};

export const createFakeHostedForge = (host = 'forge.example.org', webhookPath = '/github/webhook') => {
  const repositories = new Map<string, FakeRepository>();
  const ask = async (what: string, signal: AbortSignal): Promise<void> => {
    forge.asked.push(what);
    await forge.onAsked(what);
    signal.throwIfAborted();
    if (forge.fault !== null) throw forge.fault;
  };
  const listingOf = ({ repository, changes, branches }: FakeRepository): HostedListing => ({
    repository,
    changes: [...changes.values()].filter(({ isOpen }) => isOpen),
    isComplete: forge.isComplete,
    branches: [...branches].map(([name, sha]) => ({ name, sha })),
  });
  const forge: FakeHostedForge = {
    kind: 'github',
    host,
    capabilities: { comments: true, statuses: true },
    webhookPath,
    maxBodyBytes: 100_000,
    repositories,
    fault: null,
    permits: () => true,
    isComplete: true,
    onAsked: () => {},
    asked: [],
    addRepository(name) {
      const repository = { id: nextRepositoryId++, name, isPrivate: false, defaultBranch: 'main' };
      const added: FakeRepository = { repository, changes: new Map(), branches: new Map() };
      repositories.set(name, added);
      return added;
    },
    read: readDelivery,
    isPermitted: (repository, baseBranch) => forge.permits(repository, baseBranch),
    async findChange(repository, number, signal) {
      await ask(`change ${repository} ${number}`, signal);
      return repositories.get(repository)?.changes.get(number) ?? null;
    },
    async findBranchTip(repository, branch, signal) {
      await ask(`branch ${repository} ${branch}`, signal);
      return repositories.get(repository)?.branches.get(branch) ?? null;
    },
    async *listings(signal) {
      for (const name of [...repositories.keys()]) {
        await ask(`listing ${name}`, signal);
        const found = repositories.get(name);
        if (found !== undefined) yield listingOf(found);
      }
      if (repositories.size === 0) await ask('listings', signal);
    },
    cloneUrl: (repository) => `https://${host}/${repository}.git`,
    cloneAccess: (repository) =>
      Promise.resolve({ url: `https://${host}/${repository}.git`, authorization: null }),
    headRefOf: (number) => `refs/pull/${number}/head`,
    putGate: () => Promise.resolve(1),
    rights: new Map(),
    commitTimes: new Map(),
    reactions: [],
    comments: new Map(),
    diffs: new Map(),
    mergeRulesOf: () => ({ methods: ['merge', 'squash', 'rebase'], hasQueue: false }),
    merging: (what) => (what === 'merge' ? { kind: 'merged', mergedAs: null } : { kind: 'queued' }),
    ...createTalk(() => forge, ask),
    ...createMerging(() => forge, ask),
  };
  return forge;
};
