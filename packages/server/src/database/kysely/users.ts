// Who signed in, the tokens they made, and what was revoked.
import type { NewApiToken, SignedInUser, StoredApiToken, StoredUser, UserKey, Users } from '../database.ts';
import type { Session } from './session.ts';
import type { ApiTokenTable, UserTable } from './tables.ts';

export type UserCalls = Users;

const minuteMs = 60_000;

const userOf = (row: UserTable): StoredUser => ({
  host: row.host,
  id: row.user_id,
  login: row.login,
  promoted: row.promoted === 1,
  listedAs: row.listed_as,
  createdAtMs: row.created_at_ms,
  signedInAtMs: row.signed_in_at_ms,
});

const tokenOf = (row: ApiTokenTable): StoredApiToken => ({
  id: row.id,
  name: row.name,
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
  usedAtMs: row.used_at_ms,
});

const keyOf = (login: string): string => login.toLowerCase();

const find = async (session: Session, { host, id }: UserKey): Promise<StoredUser | null> => {
  const row = await session.kysely
    .selectFrom('users')
    .selectAll()
    .where('host', '=', host)
    .where('user_id', '=', id)
    .executeTakeFirst();
  return row === undefined ? null : userOf(row);
};

const findByLogin = async (session: Session, host: string, login: string): Promise<StoredUser | null> => {
  const row = await session.kysely
    .selectFrom('users')
    .selectAll()
    .where('host', '=', host)
    .where('login_key', '=', keyOf(login))
    .orderBy('signed_in_at_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : userOf(row);
};

/** Unless somebody is listed so already, perhaps under another login by now. */
const recognise = async (session: Session, { host, id }: UserKey, listedAs: string): Promise<void> => {
  const taken = await session.kysely
    .selectFrom('users')
    .select('user_id')
    .where('host', '=', host)
    .where('listed_as', '=', listedAs)
    .executeTakeFirst();
  if (taken !== undefined) return;
  await session.kysely
    .updateTable('users')
    .set({ listed_as: listedAs })
    .where('host', '=', host)
    .where('user_id', '=', id)
    .execute();
};

const signIn = async (
  session: Session,
  { host, id, login, atMs, isListed }: SignedInUser,
): Promise<StoredUser> => {
  const now = { login, login_key: keyOf(login), signed_in_at_ms: atMs };
  await session.kysely
    .insertInto('users')
    .values({ host, user_id: id, promoted: 0, listed_as: null, created_at_ms: atMs, ...now })
    .onConflict((conflict) => conflict.columns(['host', 'user_id']).doUpdateSet(now))
    .execute();
  if (isListed) await recognise(session, { host, id }, keyOf(login));
  const row = await session.kysely
    .selectFrom('users')
    .selectAll()
    .where('host', '=', host)
    .where('user_id', '=', id)
    .executeTakeFirstOrThrow();
  return userOf(row);
};

const addToken = async (session: Session, token: NewApiToken, most: number): Promise<boolean> => {
  const { user, id, name, hash, createdAtMs, expiresAtMs } = token;
  if ((await find(session, user)) === null) return false;
  const { count } = await session.kysely
    .selectFrom('api_tokens')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('host', '=', user.host)
    .where('user_id', '=', user.id)
    .executeTakeFirstOrThrow();
  if (Number(count) >= most) return false;
  await session.kysely
    .insertInto('api_tokens')
    .values({
      ...{ id, host: user.host, user_id: user.id, name, hash },
      ...{ created_at_ms: createdAtMs, expires_at_ms: expiresAtMs, used_at_ms: null },
    })
    .execute();
  return true;
};

const useToken = async (session: Session, hash: string, nowMs: number): Promise<StoredUser | null> => {
  const token = await session.kysely
    .selectFrom('api_tokens')
    .selectAll()
    .where('hash', '=', hash)
    .executeTakeFirst();
  if (token === undefined) return null;
  if (token.expires_at_ms !== null && token.expires_at_ms <= nowMs) return null;
  // Not with each of a hundred requests: whoever looks for tokens that nobody uses needs no seconds.
  if (token.used_at_ms === null || Math.abs(nowMs - token.used_at_ms) >= minuteMs) {
    const used = session.kysely.updateTable('api_tokens').set({ used_at_ms: nowMs });
    await used.where('id', '=', token.id).execute();
  }
  return find(session, { host: token.host, id: token.user_id });
};

const ofSession = async (session: Session, key: UserKey, id: string): Promise<StoredUser | null> => {
  const [revoked] = await session.run('select id from revoked_sessions where id = $1', [id]);
  return revoked === undefined ? find(session, key) : null;
};

const forget = async (session: Session, expiredBeforeMs: number): Promise<number> => {
  const { kysely } = session;
  const revoked = kysely.deleteFrom('revoked_sessions').where('expires_at_ms', '<', expiredBeforeMs);
  const tokens = kysely.deleteFrom('api_tokens').where('expires_at_ms', '<', expiredBeforeMs);
  const removed = [await revoked.returning('id').execute(), await tokens.returning('id').execute()];
  return removed.flat().length;
};

const userRows = (session: Session): Pick<Users, 'list' | 'setPromoted' | 'recogniseListed'> => ({
  async list({ after, limit }) {
    let select = session.kysely.selectFrom('users').selectAll().orderBy('host').orderBy('user_id');
    if (after !== null) {
      select = select.where((columns) =>
        columns(columns.refTuple('host', 'user_id'), '>', columns.tuple(after.host, after.id)),
      );
    }
    return (await select.limit(Math.max(1, Math.trunc(limit))).execute()).map(userOf);
  },
  async setPromoted({ host, id }, promoted) {
    const row = await session.kysely
      .updateTable('users')
      .set({ promoted: promoted ? 1 : 0 })
      .where('host', '=', host)
      .where('user_id', '=', id)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : userOf(row);
  },
  async recogniseListed(host, logins) {
    const listed = new Set(logins.map(keyOf));
    for (const login of listed) {
      const user = await findByLogin(session, host, login);
      // Who is listed under another login by now was meant by that one before, and keeps it while it is listed.
      if (user === null || (user.listedAs !== null && listed.has(user.listedAs))) continue;
      await recognise(session, user, login);
    }
  },
});

export const userCalls = (session: Session): UserCalls => ({
  ...userRows(session),
  signIn: (user) => signIn(session, user),
  find: (key) => find(session, key),
  findByLogin: (host, login) => findByLogin(session, host, login),
  ofSession: (key, sessionId) => ofSession(session, key, sessionId),
  addToken: (token, most) => addToken(session, token, most),
  async tokensOf({ host, id }) {
    const rows = await session.kysely
      .selectFrom('api_tokens')
      .selectAll()
      .where('host', '=', host)
      .where('user_id', '=', id)
      .orderBy('created_at_ms', 'desc')
      .orderBy('id')
      .execute();
    return rows.map(tokenOf);
  },
  useToken: (hash, nowMs) => useToken(session, hash, nowMs),
  async removeToken({ host, id: userId }, id) {
    const rows = await session.kysely
      .deleteFrom('api_tokens')
      .where('id', '=', id)
      .where('host', '=', host)
      .where('user_id', '=', userId)
      .returning('id')
      .execute();
    return rows.length > 0;
  },
  async revoke(id, expiresAtMs) {
    const rows = await session.kysely
      .insertInto('revoked_sessions')
      .values({ id, expires_at_ms: expiresAtMs })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .execute();
    return rows.length > 0;
  },
  forget: (expiredBeforeMs) => forget(session, expiredBeforeMs),
});
