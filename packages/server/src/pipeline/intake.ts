// Stage: what a forge shows → deliveries → changes. Past the delivery's row nothing is lost, and nothing happens twice.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type {
  AppliedUpdate,
  BranchUpdate,
  ChangeListing,
  ChangeState,
  Database,
  Delivery,
} from '../database/database.ts';
import type { BranchTip, RepositoryListing } from '../forge/forge.ts';
import { isOrder } from './builds/ordered-builds.ts';
import { isHosted } from './hosted/hosted-delivery.ts';
import { wasJudged } from './was-judged.ts';

export interface IntakeDeps {
  readonly database: Pick<Database, 'changes' | 'deliveries'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface Taken {
  /** Changes that wait to be judged since now. */
  readonly queued: readonly ChangeListing[];
  /** Ids of changes whose judgement is not wanted any more. */
  readonly ended: readonly string[];
}

/** A branch's update, and the change it was seen to follow. */
interface SeenUpdate {
  readonly update: Extract<BranchUpdate, { kind: 'head-moved' | 'branch-gone' | 'base-moved' | 'base-gone' }>;
  /** Null for a branch that was never seen. */
  readonly after: string | null;
}

const sha = z.custom<ChangeListing['head']>((value) => /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(String(value)));
const payloadSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('head-moved'),
    repository: z.string(),
    branch: z.string(),
    base: sha,
    head: sha,
    title: z.string(),
    newId: z.string(),
  }),
  z.object({ kind: z.enum(['branch-gone', 'base-gone']), repository: z.string(), branch: z.string() }),
  z.object({
    kind: z.literal('base-moved'),
    repository: z.string(),
    branch: z.string(),
    base: sha.nullable(),
    head: sha,
    title: z.string(),
    newId: z.string(),
  }),
]);

type CurrentChanges = ReadonlyMap<string, ChangeListing>;

const isCurrent = (known: ChangeListing | undefined, head: string): boolean =>
  known !== undefined && known.state !== 'closed' && known.head === head;

/** Branches that are there no more, or no more in this role. */
const goneFrom = (
  current: CurrentChanges,
  listed: readonly BranchTip[],
  { kind, repository }: { readonly kind: 'branch-gone' | 'base-gone'; readonly repository: string },
): SeenUpdate[] => {
  const names = new Set(listed.map(({ name }) => name));
  return [...current]
    .filter(([branch, { state }]) => !names.has(branch) && state !== 'closed')
    .map(([branch, { id }]) => ({ after: id, update: { kind, repository, branch } }));
};

/**
 * What must happen so that the changes are those of the listing. Pure but for the new ids. A base that moved changes
 * nothing of them here: whether a judged one is judged again is decided when the base's difference is known.
 */
const compareBranches = (
  current: CurrentChanges,
  { repository: { name: repository }, baseTip, branches }: RepositoryListing,
): SeenUpdate[] => [
  ...goneFrom(current, branches, { kind: 'branch-gone', repository }),
  ...branches
    .filter(({ name, sha: head }) => !isCurrent(current.get(name), head))
    .map(({ name, sha: head }): SeenUpdate => {
      const update = { repository, branch: name, base: baseTip, head, title: name, newId: randomUUID() };
      return { after: current.get(name)?.id ?? null, update: { kind: 'head-moved', ...update } };
    }),
];

/**
 * Where a base branch was when it was last judged: what a skipped tip did is judged with the next one. Every row that
 * was not judged knows it as its own base. Null before the first.
 */
export const lastJudgedTip = (known: ChangeListing | undefined): ChangeListing['base'] => {
  if (known === undefined) return null;
  return wasJudged(known) ? known.head : known.base;
};

/** The same of base branches, whose every move is a baseline to be judged. */
const compareBaselines = (
  current: CurrentChanges,
  { repository: { name: repository }, baselines }: RepositoryListing,
): SeenUpdate[] => [
  ...goneFrom(current, baselines, { kind: 'base-gone', repository }),
  ...baselines
    .filter(({ name, sha: head }) => !isCurrent(current.get(name), head))
    .map(({ name, sha: head }): SeenUpdate => {
      const known = current.get(name);
      const base = lastJudgedTip(known);
      const update = { repository, branch: name, base, head, title: name, newId: randomUUID() };
      return { after: known?.id ?? null, update: { kind: 'base-moved', ...update } };
    }),
];

/**
 * A polled event has no id of its own. What it follows makes it one: the same sight gives the same key, and a branch
 * that goes back to an old head gives a new one.
 */
const keyOf = ({ update, after }: SeenUpdate): string =>
  JSON.stringify([
    update.kind === 'base-moved' || update.kind === 'base-gone' ? 'git base' : 'git',
    update.repository,
    update.branch,
    after,
    'head' in update ? update.head : null,
  ]);

const currentStates: readonly ChangeState[] = ['queued', 'judging', 'judged', 'failed', 'closed'];

const readCurrent = async (
  { database }: IntakeDeps,
  repository: string,
  kind: 'branch' | 'baseline',
): Promise<Map<string, ChangeListing>> => {
  const current = new Map<string, ChangeListing>();
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof database.changes.list>> = await database.changes.list({
      repository,
      kinds: [kind],
      states: currentStates,
      limit: 1000,
      ...(cursor === '' ? {} : { cursor }),
    });
    for (const change of page.changes) current.set(change.branch, change);
    cursor = page.nextCursor;
  }
  return current;
};

const combine = (applied: readonly AppliedUpdate[]): Taken => ({
  queued: applied.flatMap(({ queued }) => (queued === null ? [] : [queued])),
  ended: applied.flatMap(({ ended }) => ended),
});

const applyDeliveries = async (deps: IntakeDeps, deliveries: readonly Delivery[]): Promise<Taken> => {
  const updates = deliveries.map(({ key, payload }) => ({
    deliveryKey: key,
    update: payloadSchema.parse(JSON.parse(payload)),
  }));
  return combine(await deps.database.changes.apply(updates, deps.clock()));
};

/** Takes in what is new in a listing. @throws DatabaseError */
export const takeListing = async (deps: IntakeDeps, listing: RepositoryListing): Promise<Taken> => {
  const { name } = listing.repository;
  const changes = await readCurrent(deps, name, 'branch');
  const baselines = await readCurrent(deps, name, 'baseline');
  const seen = [...compareBranches(changes, listing), ...compareBaselines(baselines, listing)];
  if (seen.length === 0) return { queued: [], ended: [] };
  const deliveries = seen.map(
    (one): Delivery => ({
      key: keyOf(one),
      payload: JSON.stringify(one.update),
      receivedAtMs: deps.clock(),
    }),
  );
  await deps.database.deliveries.receive(deliveries);
  return applyDeliveries(deps, deliveries);
};

/** Carries out what was acknowledged before the server ended. @throws DatabaseError */
export const resumeDeliveries = async (deps: IntakeDeps): Promise<Taken> => {
  const taken: Taken[] = [];
  let last: Delivery | undefined;
  do {
    const page = await deps.database.deliveries.unfinished(1000, last?.key);
    const deliveries = page.filter((delivery) => !isOrder(delivery) && !isHosted(delivery));
    if (deliveries.length > 0) taken.push(await applyDeliveries(deps, deliveries));
    last = page.at(-1);
  } while (last !== undefined);
  return { queued: taken.flatMap(({ queued }) => queued), ended: taken.flatMap(({ ended }) => ended) };
};
