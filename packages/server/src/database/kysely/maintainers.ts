// Who maintains what by the server's own table, who wants to, and the packages that changes touch.
import type { MaintainerRequest, MaintainerRequestState, Maintainers } from '../maintainers.ts';
import { type Session, takeNumbers } from './session.ts';
import type { AttrMaintainerTable, MaintainerRequestTable } from './tables.ts';

export type MaintainerCalls = Maintainers;

/** Of one person. */
const mostPending = 100;
const mostListed = 1000;

const maintainerOf = (row: AttrMaintainerTable) => ({
  host: row.host,
  attr: row.attr,
  userId: row.user_id,
  login: row.login,
  grantedBy: row.granted_by,
  atMs: row.at_ms,
});

const requestOf = (row: MaintainerRequestTable): MaintainerRequest => ({
  id: row.id,
  host: row.host,
  attr: row.attr,
  userId: row.user_id,
  login: row.login,
  // The edge: only this file writes it, from the same type.
  state: row.state as MaintainerRequestState,
  askedAtMs: row.asked_at_ms,
  decidedBy: row.decided_by,
  decidedAtMs: row.decided_at_ms,
});

type MethodOf<Name extends keyof Maintainers> = Maintainers[Name] extends (
  ...args: infer Args
) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never;

const add: MethodOf<'add'> = async (session, { host, attr, userId, login, grantedBy, atMs }) => {
  const rows = await session.kysely
    .insertInto('attr_maintainers')
    .values({ host, attr, user_id: userId, login, granted_by: grantedBy, at_ms: atMs })
    .onConflict((conflict) => conflict.columns(['attr', 'host', 'user_id']).doNothing())
    .returning('attr')
    .execute();
  return rows.length > 0;
};

const isMaintainer = async (
  session: Session,
  { host, attr, userId }: MaintainerRequest,
): Promise<boolean> => {
  const row = await session.kysely
    .selectFrom('attr_maintainers')
    .select('attr')
    .where('attr', '=', attr)
    .where('host', '=', host)
    .where('user_id', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
};

const request: MethodOf<'request'> = async (session, { host, attr, userId, login, askedAtMs }) => {
  await takeNumbers(session, 'maintainer-request', 0);
  const rows = await session.kysely
    .selectFrom('maintainer_requests')
    .selectAll()
    .where('host', '=', host)
    .where('user_id', '=', userId)
    .where('state', 'in', ['pending', 'granted'])
    .orderBy('id', 'desc')
    .execute();
  const before = rows.map(requestOf).filter((one) => one.attr === attr);
  for (const one of before) if (one.state === 'pending' || (await isMaintainer(session, one))) return one;
  if (rows.filter(({ state }) => state === 'pending').length >= mostPending) return null;
  const row: MaintainerRequestTable = {
    id: await takeNumbers(session, 'maintainer-request', 1),
    ...{ host, attr, login, user_id: userId },
    state: 'pending',
    asked_at_ms: askedAtMs,
    decided_by: null,
    decided_at_ms: null,
  };
  await session.kysely.insertInto('maintainer_requests').values(row).execute();
  return requestOf(row);
};

const decide: MethodOf<'decide'> = async (session, id, { state, by, atMs }) => {
  await takeNumbers(session, 'maintainer-request', 0);
  const decided = await session.kysely
    .updateTable('maintainer_requests')
    .set({ state, decided_by: by, decided_at_ms: atMs })
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .returningAll()
    .executeTakeFirst();
  if (decided !== undefined) {
    const found = requestOf(decided);
    if (state === 'granted') await add(session, { ...found, grantedBy: by, atMs });
    return found;
  }
  const row = await session.kysely
    .selectFrom('maintainer_requests')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? null : requestOf(row);
};

const requests: MethodOf<'requests'> = async (session, { state, host, userId }) => {
  let select = session.kysely
    .selectFrom('maintainer_requests')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(mostListed);
  if (state !== undefined) select = select.where('state', '=', state);
  if (host !== undefined) select = select.where('host', '=', host);
  if (userId !== undefined) select = select.where('user_id', '=', userId);
  return (await select.execute()).map(requestOf);
};

export const maintainerCalls = (session: Session): MaintainerCalls => ({
  add: (maintainer) => add(session, maintainer),
  async remove({ host, attr, userId }) {
    const rows = await session.kysely
      .deleteFrom('attr_maintainers')
      .where('attr', '=', attr)
      .where('host', '=', host)
      .where('user_id', '=', userId)
      .returning('attr')
      .execute();
    return rows.length > 0;
  },
  async of(attr) {
    const rows = await session.kysely
      .selectFrom('attr_maintainers')
      .selectAll()
      .where('attr', '=', attr)
      .orderBy('host')
      .orderBy('user_id')
      .execute();
    return rows.map(maintainerOf);
  },
  async attrsOf(host, userId) {
    const rows = await session.kysely
      .selectFrom('attr_maintainers')
      .select('attr')
      .where('host', '=', host)
      .where('user_id', '=', userId)
      .orderBy('attr')
      .execute();
    return rows.map(({ attr }) => attr);
  },
  request: (asked) => request(session, asked),
  requests: (which) => requests(session, which),
  decide: (id, decision) => decide(session, id, decision),
  async keepPackages(changeId, packagesJson) {
    await session.kysely
      .insertInto('change_packages')
      .values({ change_id: changeId, packages_json: packagesJson })
      .onConflict((conflict) => conflict.column('change_id').doUpdateSet({ packages_json: packagesJson }))
      .execute();
  },
  async packagesOf(changeId) {
    const row = await session.kysely
      .selectFrom('change_packages')
      .select('packages_json')
      .where('change_id', '=', changeId)
      .executeTakeFirst();
    return row?.packages_json ?? null;
  },
  async forgetPackages() {
    const rows = await session.kysely
      .deleteFrom('change_packages')
      .where('change_id', 'not in', (expression) => expression.selectFrom('changes').select('id'))
      .returning('change_id')
      .execute();
    return rows.length;
  },
});
