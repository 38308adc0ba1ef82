// What is private: repositories by name, and the derivations that nobody else wants.
import { sql } from 'kysely';
import type { JobsetId } from '../database.ts';
import type { JudgedJobset, Privacy, PrivateDerivation, PrivateRepository } from '../privacy.ts';
import { asideName, repositoryKey } from '../repositories.ts';
import { insertRows, type Session, selectIn } from './session.ts';

export type PrivacyCalls = Privacy;

const derivationsAfter = async (
  { kysely }: Session,
  limit: number,
  after: PrivateDerivation | null,
): Promise<PrivateDerivation[]> => {
  let select = kysely
    .selectFrom('private_derivations')
    .selectAll()
    .orderBy('drv')
    .orderBy('host')
    .orderBy('repository_id')
    .limit(limit);
  if (after !== null) {
    const { drv, host, repositoryId } = after;
    select = select.where((expression) =>
      expression(
        expression.refTuple('drv', 'host', 'repository_id'),
        '>',
        expression.tuple(drv, host, repositoryId),
      ),
    );
  }
  const rows = await select.execute();
  return rows.map(({ drv, host, repository_id: repositoryId }) => ({ drv, host, repositoryId }));
};

/** The key of a jobset begins with its tree: jobset-records.ts writes it. */
const jobsets = async ({ kysely }: Session): Promise<JudgedJobset[]> => {
  const judged = await kysely
    .selectFrom('changes')
    .select(['repository', 'repository_id', 'judged_tree'])
    .distinct()
    .where('judged_tree', 'is not', null)
    .execute();
  const byTree = Map.groupBy(judged, ({ judged_tree: tree }) => tree);
  const kept = await kysely
    .selectFrom('jobsets')
    .select(['id', sql<string>`substr(key_json, 1, 100)`.as('start')])
    .where('completed_at_ms', 'is not', null)
    .execute();
  return kept.map(({ id, start }) => {
    const tree = /^\{"tree":"([^"]*)"/.exec(start)?.[1] ?? '';
    return {
      id: id as JobsetId,
      repositories: (byTree.get(tree) ?? []).map(({ repository, repository_id: repositoryId }) => ({
        repository,
        ...(repositoryId !== null && { repositoryId }),
      })),
    };
  });
};

const hide = async ({ kysely }: Session, { host, repositoryId, name }: PrivateRepository): Promise<void> => {
  const key = repositoryKey(name);
  const before = await kysely
    .selectFrom('private_repositories')
    .select('repository_id')
    .where('host', '=', host)
    .where('name_key', '=', key)
    .executeTakeFirst();
  if (before !== undefined && before.repository_id !== repositoryId) {
    const to = asideName(before.repository_id);
    await kysely
      .insertInto('private_repositories')
      .values({ host, name_key: repositoryKey(to), repository_id: before.repository_id, name: to })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  const row = { repository_id: repositoryId, name };
  await kysely
    .insertInto('private_repositories')
    .values({ host, name_key: key, ...row })
    .onConflict((conflict) => conflict.columns(['host', 'name_key']).doUpdateSet(row))
    .execute();
};

export const privacyCalls = (session: Session): PrivacyCalls => {
  const { kysely } = session;
  return {
    async repositories() {
      const rows = await kysely.selectFrom('private_repositories').selectAll().execute();
      return rows.map(({ host, repository_id: repositoryId, name }) => ({ host, repositoryId, name }));
    },
    hide: (repository) => hide(session, repository),
    async show({ host, repositoryId }) {
      await kysely
        .deleteFrom('private_repositories')
        .where('host', '=', host)
        .where('repository_id', '=', repositoryId)
        .execute();
      // Of others too: it shows them to everybody.
      const own = kysely
        .selectFrom('private_derivations')
        .select('drv')
        .where('host', '=', host)
        .where('repository_id', '=', repositoryId);
      await kysely.deleteFrom('private_derivations').where('drv', 'in', own).execute();
    },
    derivations: (limit, after) => derivationsAfter(session, limit, after),
    async claim({ host, repositoryId }, drvs) {
      const target = {
        table: 'private_derivations',
        columns: ['drv', 'host', 'repository_id'],
        suffix: 'on conflict do nothing',
      } as const;
      const rows = drvs.map((drv) => [drv, host, repositoryId]);
      await insertRows(session, target, rows);
    },
    async release(drvs) {
      await selectIn(session, 'delete from private_derivations where drv in ($list)', drvs);
    },
    jobsets: () => jobsets(session),
  };
};
