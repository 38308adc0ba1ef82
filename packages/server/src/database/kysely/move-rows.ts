// The move of all rows that hold the name of a repository to another one.
import { type SqlBool, sql } from 'kysely';
import { isAside } from '../repositories.ts';
import type { Session } from './session.ts';

/** From one name to another, on one host. */
export interface Move {
  readonly host: string;
  readonly from: string;
  readonly to: string;
}

/** As JSON has it: a quote inside of a value is written otherwise, so nothing else looks like it. */
const memberOf = (name: string): string => `"repository":${JSON.stringify(name)}`;

/** @param only of this repository @default all that are under the name */
export const moveChanges = async (
  { kysely }: Session,
  { host, from, to }: Move,
  only: number | null = null,
): Promise<void> => {
  await kysely
    .updateTable('changes')
    .set({
      repository: `${host}/${to}`,
      request_json: sql`replace(request_json, ${memberOf(from)}, ${memberOf(to)})`,
    })
    .where('repository', '=', `${host}/${from}`)
    .$if(only !== null, (query) => query.where('repository_id', '=', only))
    .execute();
};

/** What is shown under the new name already gives way: it was made by mistake, or is of a repository that is gone. */
export const moveGates = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  await kysely
    .deleteFrom('gates')
    .where('host', '=', host)
    .where('repository', '=', to)
    .where((rows) =>
      rows.exists(
        rows
          .selectFrom('gates as moved')
          .select('moved.name')
          .where('moved.host', '=', host)
          .where('moved.repository', '=', from)
          .whereRef('moved.head_sha', '=', 'gates.head_sha')
          .whereRef('moved.name', '=', 'gates.name'),
      ),
    )
    .execute();
  await kysely
    .updateTable('gates')
    .set({ repository: to, place_json: sql`replace(place_json, ${memberOf(from)}, ${memberOf(to)})` })
    .where('host', '=', host)
    .where('repository', '=', from)
    .execute();
  if (isAside(from) === isAside(to)) return;
  // Nobody can be shown what is aside; what was to be shown meanwhile is due when it has a name again.
  await kysely
    .updateTable('gates')
    .set(isAside(to) ? { next_at_ms: null } : { next_at_ms: 0, attempts: 0 })
    .where('host', '=', host)
    .where('repository', '=', to)
    .where(sql<SqlBool>`sent_version < version`)
    .execute();
};

export const moveMerges = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  const [old, now] = [`${host}/${from}`, `${host}/${to}`];
  await kysely
    .deleteFrom('merge_requests')
    .where('repository', '=', now)
    .where('comment_id', 'in', (query) =>
      query
        .selectFrom('merge_requests as moved')
        .select('moved.comment_id')
        .where('moved.repository', '=', old),
    )
    .execute();
  await kysely.updateTable('merge_requests').set({ repository: now }).where('repository', '=', old).execute();
  await kysely
    .deleteFrom('reviews')
    .where('repository', '=', now)
    .where((rows) =>
      rows.exists(
        rows
          .selectFrom('reviews as moved')
          .select('moved.number')
          .where('moved.repository', '=', old)
          .whereRef('moved.number', '=', 'reviews.number')
          .whereRef('moved.reviewer_id', '=', 'reviews.reviewer_id'),
      ),
    )
    .execute();
  await kysely.updateTable('reviews').set({ repository: now }).where('repository', '=', old).execute();
};

export const moveRows = async (session: Session, move: Move): Promise<void> => {
  await moveChanges(session, move);
  await moveGates(session, move);
  await moveMerges(session, move);
};
