// What is to be pushed, written down: many at once, with few statements.
import type { WantedPush } from '../pushes.ts';
import { insertRows, type Session, takeNumbers } from './session.ts';
import type { PushTable } from './tables.ts';

/** Held by nobody. */
export const unleased = { lease_owner: null, lease_until_ms: null };
/** Parameters of one statement: SQLite and PostgreSQL take many more. */
const atOnce = 256;

export const chunksOf = <Item>(items: readonly Item[]): Item[][] =>
  Array.from({ length: Math.ceil(items.length / atOnce) }, (_, at) =>
    items.slice(at * atOnce, (at + 1) * atOnce),
  );

const wantedColumns = (push: WantedPush) => ({
  drv: push.drv,
  repository: push.repository,
  branch: push.branch,
  change_id: push.changeId,
  publication_id: push.publicationId,
  priority: push.priority,
});

export const startWaiting = (sequence: number, atMs: number) => ({
  ...unleased,
  sequence,
  state: 'waiting',
  attempts: 0,
  next_at_ms: 0,
  fault: null,
  waiting_since_ms: atMs,
  updated_at_ms: atMs,
});

type KnownPush = Pick<PushTable, 'id' | 'cache' | 'output' | 'state' | 'priority'>;

const keyOf = (cache: string, output: string): string => `${cache} ${output}`;

/** Those rows that there are of what is wanted. */
const knownOf = async (
  { kysely }: Session,
  wanted: readonly WantedPush[],
): Promise<Map<string, KnownPush>> => {
  const known = new Map<string, KnownPush>();
  for (const [cache, pushes] of Map.groupBy(wanted, (push) => push.cache)) {
    for (const chunk of chunksOf(pushes.map(({ outputs: [first] }) => first))) {
      const rows = await kysely
        .selectFrom('pushes')
        .select(['id', 'cache', 'output', 'state', 'priority'])
        .where('cache', '=', cache)
        .where('output', 'in', chunk)
        .execute();
      for (const row of rows) known.set(keyOf(cache, row.output), row);
    }
  }
  return known;
};

const freshColumns = [
  ...['id', 'cache', 'output', 'outputs_json', 'drv', 'repository', 'branch', 'change_id'],
  ...['publication_id', 'priority'],
  ...['sequence', 'state', 'attempts', 'next_at_ms', 'waiting_since_ms', 'updated_at_ms'],
];

/** With few statements: of a judgement there may be a hundred thousand, and all who ask the database wait meanwhile. */
const insertFresh = async (session: Session, fresh: readonly WantedPush[], atMs: number): Promise<void> => {
  if (fresh.length === 0) return;
  const first = await takeNumbers(session, 'push', fresh.length);
  const rows = fresh.map((push, index) => {
    const { cache, outputs, drv, repository, branch, changeId, publicationId, priority } = push;
    return [
      ...[first + index, cache, outputs[0], JSON.stringify(outputs), drv, repository, branch, changeId],
      ...[publicationId, priority, first + index, 'waiting', 0, 0, atMs, atMs],
    ];
  });
  await insertRows(session, { table: 'pushes', columns: freshColumns }, rows);
};

/** @returns whether it waits now and did not before */
const wantAgain = async (
  session: Session,
  { known, push }: { readonly known: KnownPush; readonly push: WantedPush },
  atMs: number,
): Promise<boolean> => {
  const isDropped = known.state === 'dropped';
  const isTakenOver = known.state === 'waiting' && push.priority < known.priority;
  if (!isTakenOver && !isDropped) return false;
  const anew = isDropped ? startWaiting(await takeNumbers(session, 'push', 1), atMs) : {};
  await session.kysely
    .updateTable('pushes')
    .set({ ...wantedColumns(push), ...anew })
    .where('id', '=', known.id)
    .execute();
  return isDropped;
};

/** Of equal ones the one that comes first in priority, then in the order given. */
const distinct = (pushes: readonly WantedPush[]): WantedPush[] => {
  const best = new Map<string, WantedPush>();
  for (const push of pushes) {
    const key = keyOf(push.cache, push.outputs[0]);
    const other = best.get(key);
    if (other === undefined || push.priority < other.priority) best.set(key, push);
  }
  return [...best.values()];
};

/** As the port has `want`. */
export const wantPushes = async (
  session: Session,
  pushes: readonly WantedPush[],
  atMs: number,
): Promise<number> => {
  // The lock comes before the look: of two that want the same the second must see the first.
  await takeNumbers(session, 'push', 0);
  const wanted = distinct(pushes);
  const known = await knownOf(session, wanted);
  const fresh: WantedPush[] = [];
  let again = 0;
  for (const push of wanted) {
    const row = known.get(keyOf(push.cache, push.outputs[0]));
    if (row === undefined) fresh.push(push);
    else if (await wantAgain(session, { known: row, push }, atMs)) again += 1;
  }
  await insertFresh(session, fresh, atMs);
  return fresh.length + again;
};
