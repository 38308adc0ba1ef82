// Changes as a queue: what a branch's update makes of them, and who judges which under a lease.
import { sql } from 'kysely';
import type {
  AppliedUpdate,
  BranchUpdate,
  ChangeClaim,
  ChangeKind,
  ChangeListing,
  ChangeResult,
  DeliveredUpdate,
  Lease,
  StoredChange,
} from '../database.ts';
import { repositoryKey } from '../repositories.ts';
import { listedColumns, listingOf, priorities, storedOf } from './changes.ts';
import { finishDelivery, isDeliveryDone } from './deliveries.ts';
import { forgetFailures } from './failures.ts';
import { finish, underLease, unleased } from './leases.ts';
import { holderOfKept, keptNow } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import type { ChangeTable } from './tables.ts';

export interface JudgingCalls {
  apply(updates: readonly DeliveredUpdate[], atMs: number): Promise<readonly AppliedUpdate[]>;
  claimNext(claim: ChangeClaim): Promise<StoredChange | null>;
  renew(lease: Lease, untilMs: number): Promise<boolean>;
  release(lease: Lease, atMs: number): Promise<boolean>;
  releaseAll(owner: string, atMs: number): Promise<number>;
  finish(lease: Lease, result: ChangeResult, atMs: number): Promise<boolean>;
  retryLater(lease: Lease, retry: Retry): Promise<boolean>;
}

interface Retry {
  readonly fault: string;
  readonly retryAtMs: number;
  readonly atMs: number;
}

export const live = ['queued', 'judging'] as const;
/** What its forge shows as not concluded. */
const unconcluded: readonly string[] = ['awaiting-approval', ...live];

type Moved = Extract<BranchUpdate, { kind: 'head-moved' | 'base-moved' | 'offer-moved' | 'group-made' }>;

/**
 * All heads of one thing. A branch as a change or as a baseline: one that was the first may become the second, and back.
 * What is offered goes by the forge's number, a group by the branch that was made for it.
 */
type HeadsOf =
  | { readonly kind: 'branch' | 'baseline' | 'group'; readonly repository: string; readonly branch: string }
  | { readonly kind: 'offered'; readonly repository: string; readonly number: number };

const rowsOf = (session: Session, of: HeadsOf) => {
  const rows = session.kysely
    .selectFrom('changes')
    .where('kind', '=', of.kind)
    .where('repository', '=', of.repository);
  return of.kind === 'offered' ? rows.where('number', '=', of.number) : rows.where('branch', '=', of.branch);
};

/** The newest change among them; undefined where there never was one. */
const currentOf = (session: Session, of: HeadsOf) =>
  rowsOf(session, of)
    .select([...listedColumns, 'request_json'])
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();

export const nextNumber = async (session: Session, repository: string): Promise<number> => {
  const row = await session.kysely
    .selectFrom('changes')
    .select((expression) => expression.fn.max('number').as('last'))
    .where('repository', '=', repository)
    .executeTakeFirst();
  return Number(row?.last ?? 0) + 1;
};

/** @returns ids of those that waited, or were being judged */
const endOthers = async (
  session: Session,
  of: HeadsOf,
  end: { readonly state: 'superseded' | 'closed'; readonly atMs: number },
): Promise<string[]> => {
  const others = rowsOf(session, of)
    .select(['id', 'state'])
    .where('state', 'not in', ['superseded', end.state]);
  const ended = await others.orderBy('sequence').execute();
  for (const { id } of ended) {
    await session.kysely
      .updateTable('changes')
      .set({ state: end.state, updated_at_ms: end.atMs, unsatisfiable: null, ...unleased })
      .where('id', '=', id)
      .execute();
  }
  await forgetFailures(
    session,
    ended.map(({ id }) => id),
  );
  return ended.filter(({ state }) => unconcluded.includes(state)).map(({ id }) => id);
};

/** A row that waits to be judged, with nothing known of it yet. */
export const queuedRow = (
  change: Pick<ChangeTable, 'id' | 'repository' | 'base_commit' | 'head_commit' | 'title' | 'branch'> &
    Pick<ChangeTable, 'sequence' | 'number' | 'request_json' | 'base_branch' | 'repository_id'> & {
      readonly kind: ChangeKind;
    },
  atMs: number,
): ChangeTable => ({
  ...change,
  judged_tree: null,
  created_at_ms: atMs,
  conclusion: null,
  summary_json: null,
  state: 'queued',
  updated_at_ms: atMs,
  fault: null,
  markdown: null,
  ...unleased,
  priority: priorities[change.kind],
  faults: 0,
  retry_at_ms: null,
  approved: 0,
  unsatisfiable: null,
  offer_changed: 0,
  failures_cleared: 0,
});

const headsOf = (update: BranchUpdate): HeadsOf => {
  const { repository } = update;
  switch (update.kind) {
    case 'head-moved':
    case 'branch-gone':
      return { kind: 'branch', repository, branch: update.branch };
    case 'base-moved':
    case 'base-gone':
      return { kind: 'baseline', repository, branch: update.branch };
    case 'offer-moved':
    case 'offer-closed':
      return { kind: 'offered', repository, number: update.number };
    case 'group-made':
    case 'group-gone':
      return { kind: 'group', repository, branch: update.branch };
  }
};

const numberOf = async (session: Session, of: HeadsOf, current: { number: number } | undefined) => {
  switch (of.kind) {
    case 'offered':
      return of.number;
    case 'baseline':
    case 'group':
      return 0;
    case 'branch':
      return current?.number ?? (await nextNumber(session, of.repository));
  }
};

type Current = NonNullable<Awaited<ReturnType<typeof currentOf>>>;

/** Whether it is judged, or was, exactly so. */
const isCurrent = (current: Current, update: Moved): boolean =>
  current.state !== 'closed' &&
  current.state !== 'superseded' &&
  current.head_commit === update.head &&
  (update.kind !== 'offer-moved' || current.base_branch === update.baseBranch);

/** What was told beside its commits: nobody need judge it again for that. */
const keepTold = async (session: Session, { id, ...current }: Current, update: Moved): Promise<void> => {
  if (update.kind !== 'offer-moved') return;
  const { title, requestJson } = update;
  if (current.title === title && current.request_json === requestJson) return;
  await session.kysely
    .updateTable('changes')
    .set({ title, request_json: requestJson })
    .where('id', '=', id)
    .execute();
};

/** Its author may have things built by now. @returns what is queued by that */
const letGo = async (
  session: Session,
  { id, state }: Current,
  { update, atMs }: { readonly update: Moved; readonly atMs: number },
): Promise<ChangeListing | null> => {
  if (state !== 'awaiting-approval' || !('awaitsApproval' in update) || update.awaitsApproval) return null;
  const row = await session.kysely
    .updateTable('changes')
    .set({ state: 'queued', updated_at_ms: atMs })
    .where('id', '=', id)
    .returning(listedColumns)
    .executeTakeFirst();
  return row === undefined ? null : listingOf(row);
};

const queueHead = async (session: Session, update: Moved, atMs: number): Promise<AppliedUpdate> => {
  const of = headsOf(update);
  const current = await currentOf(session, of);
  if (current !== undefined && isCurrent(current, update)) {
    await keepTold(session, current, update);
    return { queued: await letGo(session, current, { update, atMs }), awaiting: null, ended: [] };
  }
  const isApproved = current?.approved === 1 && current.head_commit === update.head;
  const ended = await endOthers(session, of, { state: 'superseded', atMs });
  const isHosted = update.kind === 'offer-moved' || update.kind === 'group-made';
  const row = queuedRow(
    {
      id: update.newId,
      kind: of.kind,
      repository: update.repository,
      branch: update.branch,
      base_commit: update.base ?? '',
      head_commit: update.head,
      title: update.title,
      sequence: await takeNumbers(session, 'change', 1),
      number: await numberOf(session, of, current),
      request_json: isHosted ? update.requestJson : null,
      base_branch: isHosted ? update.baseBranch : null,
      repository_id: update.repositoryId ?? (await holderOfKept(session, update.repository)),
    },
    atMs,
  );
  const awaits = 'awaitsApproval' in update && update.awaitsApproval && !isApproved;
  const state = awaits ? 'awaiting-approval' : 'queued';
  const stored = { ...row, state, approved: isApproved ? 1 : 0 } as const;
  await session.kysely.insertInto('changes').values(stored).execute();
  const listing = listingOf(stored);
  return { queued: awaits ? null : listing, awaiting: awaits ? listing : null, ended };
};

const applyOne = async (session: Session, update: BranchUpdate, atMs: number): Promise<AppliedUpdate> => {
  switch (update.kind) {
    case 'head-moved':
    case 'base-moved':
    case 'offer-moved':
    case 'group-made':
      return queueHead(session, update, atMs);
    case 'branch-gone':
    case 'base-gone':
    case 'offer-closed':
    case 'group-gone':
      return {
        queued: null,
        awaiting: null,
        ended: await endOthers(session, headsOf(update), { state: 'closed', atMs }),
      };
  }
};

/** Whether it is called otherwise by now, or another one has the name under which this was found. */
const isNamedOtherwise = async (
  session: Session,
  { repository, repositoryId }: { readonly repository: string; readonly repositoryId: number },
): Promise<boolean> => {
  const now = await keptNow(session, { repository, repositoryId });
  if (repositoryKey(now) !== repositoryKey(repository)) return true;
  return ((await holderOfKept(session, repository)) ?? repositoryId) !== repositoryId;
};

/** Asked once for each repository. */
const createOwnerCheck = (session: Session) => {
  const known = new Map<string, Promise<boolean>>();
  return async ({ repository, repositoryId }: BranchUpdate): Promise<boolean> => {
    if (repositoryId === undefined) return false;
    const key = `${repositoryId} ${repository}`;
    const found = known.get(key) ?? isNamedOtherwise(session, { repository, repositoryId });
    known.set(key, found);
    return found;
  };
};

const apply = async (session: Session, updates: readonly DeliveredUpdate[], atMs: number) => {
  // The lock comes before the look: of two writers of one branch the second must see the first.
  await takeNumbers(session, 'change', 0);
  const isOfAnother = createOwnerCheck(session);
  const nothing = { queued: null, awaiting: null, ended: [] };
  const applied: AppliedUpdate[] = [];
  for (const { deliveryKey, update } of updates) {
    if (await isDeliveryDone(session, deliveryKey)) {
      applied.push(nothing);
      continue;
    }
    const isRefused = await isOfAnother(update);
    applied.push(isRefused ? { ...nothing, isOfAnother: true } : await applyOne(session, update, atMs));
    await finishDelivery(session, deliveryKey, atMs);
  }
  return applied;
};

const claimNext = async (session: Session, claim: ChangeClaim): Promise<StoredChange | null> => {
  await takeNumbers(session, 'change', 0);
  const { nowMs, untilMs, owner, notOf = [], kinds } = claim;
  const claimable = session.kysely
    .selectFrom('changes')
    .select('id')
    // Said again for the partial index, which holds these states alone.
    .where('state', 'in', live)
    .where(
      sql<boolean>`(state = 'queued' or lease_until_ms is null or lease_until_ms < ${sql.lit(Math.trunc(nowMs))})`,
    )
    // Of a repository whose name another one has: nothing of it can be fetched.
    .where(sql<boolean>`(kind in ('branch', 'submitted') or repository not like '%/#%')`)
    // Put off at a time that is still to come: the clock was set back, and says nothing of how long that is to wait.
    .where(
      sql<boolean>`(retry_at_ms is null or retry_at_ms <= ${sql.lit(Math.trunc(nowMs))} or updated_at_ms > ${sql.lit(Math.trunc(nowMs))})`,
    )
    .orderBy('priority')
    .orderBy('sequence')
    .limit(1);
  const next = await claimable
    .$if(notOf.length > 0, (query) => query.where('repository', 'not in', notOf))
    .$if(kinds !== undefined, (query) => query.where('kind', 'in', kinds ?? []))
    .executeTakeFirst();
  if (next === undefined) return null;
  const row = await session.kysely
    .updateTable('changes')
    .set({
      state: 'judging',
      updated_at_ms: nowMs,
      lease_owner: owner,
      lease_until_ms: untilMs,
      offer_changed: 0,
      failures_cleared: 0,
    })
    .where('id', '=', next.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return storedOf(row);
};

export const judgingCalls = (session: Session): JudgingCalls => ({
  apply: (updates, atMs) => apply(session, updates, atMs),
  claimNext: (claim) => claimNext(session, claim),
  renew: (lease, untilMs) => underLease(session, lease, { lease_until_ms: untilMs }),
  release: (lease, atMs) => underLease(session, lease, { state: 'queued', updated_at_ms: atMs, ...unleased }),
  async releaseAll(owner, atMs) {
    const rows = await session.kysely
      .updateTable('changes')
      .set({ state: 'queued', updated_at_ms: atMs, ...unleased })
      .where('state', '=', 'judging')
      .where('lease_owner', '=', owner)
      .returning('id')
      .execute();
    return rows.length;
  },
  finish: (lease, result, atMs) => finish(session, lease, { result, atMs }),
  async retryLater(lease, { fault, retryAtMs, atMs }) {
    const row = await session.kysely
      .updateTable('changes')
      .set((columns) => ({
        state: 'queued',
        fault,
        faults: columns('faults', '+', 1),
        retry_at_ms: retryAtMs,
        updated_at_ms: atMs,
        ...unleased,
      }))
      .where('id', '=', lease.id)
      .where('state', '=', 'judging')
      .where('lease_owner', '=', lease.owner)
      .returning('id')
      .executeTakeFirst();
    return row !== undefined;
  },
});
