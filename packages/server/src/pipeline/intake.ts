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
import type { RepositoryListing } from '../forge/forge.ts';

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
  readonly update: BranchUpdate;
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
  z.object({ kind: z.literal('branch-gone'), repository: z.string(), branch: z.string() }),
]);

/**
 * What must happen so that the changes are those of the listing. Pure but for the new ids. A base that moved changes
 * nothing: every open change would be judged again at each push to it. The next head is judged against the base of then.
 */
const compareWithListing = (
  current: ReadonlyMap<string, ChangeListing>,
  { repository, baseTip, branches }: RepositoryListing,
): SeenUpdate[] => {
  const updates: SeenUpdate[] = [];
  const listed = new Set<string>();
  for (const { name, sha: head } of branches) {
    listed.add(name);
    const known = current.get(name);
    if (known !== undefined && known.state !== 'closed' && known.head === head) continue;
    updates.push({
      after: known?.id ?? null,
      update: {
        kind: 'head-moved',
        repository: repository.name,
        branch: name,
        base: baseTip,
        head,
        title: name,
        newId: randomUUID(),
      },
    });
  }
  for (const [branch, known] of current) {
    if (listed.has(branch) || known.state === 'closed') continue;
    updates.push({ after: known.id, update: { kind: 'branch-gone', repository: repository.name, branch } });
  }
  return updates;
};

/**
 * A polled event has no id of its own. What it follows makes it one: the same sight gives the same key, and a branch
 * that goes back to an old head gives a new one.
 */
const keyOf = ({ update, after }: SeenUpdate): string =>
  JSON.stringify([
    'git',
    update.repository,
    update.branch,
    after,
    update.kind === 'head-moved' ? update.head : null,
  ]);

const currentStates: readonly ChangeState[] = ['queued', 'judging', 'judged', 'failed', 'closed'];

const readCurrent = async (
  { database }: IntakeDeps,
  repository: string,
): Promise<Map<string, ChangeListing>> => {
  const current = new Map<string, ChangeListing>();
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof database.changes.list>> = await database.changes.list({
      repository,
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
  const current = await readCurrent(deps, listing.repository.name);
  const deliveries = compareWithListing(current, listing).map(
    (seen): Delivery => ({
      key: keyOf(seen),
      payload: JSON.stringify(seen.update),
      receivedAtMs: deps.clock(),
    }),
  );
  await deps.database.deliveries.receive(deliveries);
  return applyDeliveries(deps, deliveries);
};

/** Carries out what was acknowledged before the server ended. @throws DatabaseError */
export const resumeDeliveries = async (deps: IntakeDeps): Promise<Taken> => {
  const taken: Taken[] = [];
  for (;;) {
    const deliveries = await deps.database.deliveries.unfinished(1000);
    if (deliveries.length === 0) break;
    taken.push(await applyDeliveries(deps, deliveries));
  }
  return { queued: taken.flatMap(({ queued }) => queued), ended: taken.flatMap(({ ended }) => ended) };
};
