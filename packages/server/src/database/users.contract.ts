// Contract of the port's users: known by their forge's id, tokens that are found by their hash, ends that hold.
import { beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database, NewApiToken, UserKey, Users } from './database.ts';

let users: Users;
/** No other test has it; the database is shared. */
let host: string;
let hosts = 0;

const key = (id: number): UserKey => ({ host, id });
const signIn = (
  id: number,
  login: string,
  more: { readonly atMs?: number; readonly isListed?: boolean } = {},
) => users.signIn({ host, id, login, atMs: 1000, isListed: false, ...more });
const token = (id: string, more: Partial<NewApiToken> = {}): NewApiToken => ({
  id: `${host} ${id}`,
  user: key(1),
  name: 'laptop 🦀',
  hash: `${host} hash of ${id}`,
  createdAtMs: 1000,
  expiresAtMs: null,
  ...more,
});
const idsOf = async (user = key(1)) => (await users.tokensOf(user)).map(({ id }) => id.split(' ')[1]);

const peopleContract = (): void => {
  it('keeps one by their id, whatever they are called', async () => {
    const first = { host, id: 2 ** 53 - 1, login: 'Alice', promoted: false, listedAs: null };
    const times = { createdAtMs: 1000, signedInAtMs: 1000 };
    expect(await signIn(first.id, 'Alice')).toEqual({ ...first, ...times });
    const renamed = await signIn(first.id, 'alice-2', { atMs: 2000 });
    expect(renamed).toEqual({ ...first, login: 'alice-2', createdAtMs: 1000, signedInAtMs: 2000 });
    expect(await users.find(key(first.id))).toEqual(renamed);
    expect(await users.findByLogin(host, 'ALICE-2')).toEqual(renamed);
    expect(await users.findByLogin(host, 'alice')).toBeNull();
    expect(await users.find({ host: `other.${host}`, id: first.id })).toBeNull();
  });

  it('finds by a login whoever had it last', async () => {
    await signIn(1, 'alice', { atMs: 5000 });
    await signIn(2, 'Alice', { atMs: 6000 });
    expect(await users.findByLogin(host, 'alice')).toMatchObject({ id: 2 });
  });

  it('promotes and demotes, and a sign-in changes nothing of it', async () => {
    await signIn(1, 'alice');
    expect(await users.setPromoted(key(1), true)).toMatchObject({ promoted: true });
    expect(await users.setPromoted(key(1), true)).toMatchObject({ promoted: true });
    expect(await signIn(1, 'alice', { atMs: 2000 })).toMatchObject({ promoted: true });
    expect(await users.setPromoted(key(1), false)).toMatchObject({ promoted: false });
    expect(await users.setPromoted(key(2), true)).toBeNull();
  });

  it('lists them a page at a time', async () => {
    for (const id of [3, 1, 20, 2]) await signIn(id, `user-${id}`);
    const page = await users.list({ after: key(0), limit: 2 });
    expect(page.map(({ id }) => id)).toEqual([1, 2]);
    const rest = await users.list({ after: key(2), limit: 100 });
    expect(rest.filter((user) => user.host === host).map(({ id }) => id)).toEqual([3, 20]);
    expect((await users.list({ after: null, limit: 1000 })).length).toBeGreaterThanOrEqual(4);
  });
};

const listingContract = (): void => {
  it('recognises a listed login once: it stays with who had it, and whoever takes it later is not listed', async () => {
    expect(await signIn(1, 'Alice', { isListed: true })).toMatchObject({ listedAs: 'alice' });
    expect(await signIn(1, 'gone-away', { atMs: 2000 })).toMatchObject({ listedAs: 'alice' });
    expect(await signIn(2, 'alice', { atMs: 3000, isListed: true })).toMatchObject({ listedAs: null });
    await users.recogniseListed(host, ['ALICE']);
    expect(await users.find(key(2))).toMatchObject({ listedAs: null });
  });

  it('recognises those who signed in before they were listed, the last of a name', async () => {
    await signIn(1, 'bob', { atMs: 1000 });
    await signIn(2, 'Bob', { atMs: 2000 });
    await users.recogniseListed(host, ['BOB', 'nobody']);
    await users.recogniseListed(host, []);
    const listed = [await users.find(key(1)), await users.find(key(2))].map((user) => user?.listedAs);
    expect(listed).toEqual([null, 'bob']);
    // They change their login, and then the list follows.
    await signIn(2, 'robert', { atMs: 3000 });
    await users.recogniseListed(host, ['bob', 'robert']);
    expect(await users.find(key(2))).toMatchObject({ listedAs: 'bob' });
    await users.recogniseListed(host, ['robert']);
    expect(await users.find(key(2))).toMatchObject({ listedAs: 'robert' });
  });
};

const tokenContract = (): void => {
  it('finds whose a token is by its hash, until it is removed', async () => {
    await signIn(1, 'alice');
    await signIn(2, 'bob');
    expect(await users.addToken(token('a'), 10)).toBe(true);
    expect(await users.useToken(token('a').hash, 5000)).toMatchObject({ id: 1, login: 'alice' });
    expect(await users.useToken(token('b').hash, 5000)).toBeNull();
    expect(await users.removeToken(key(2), token('a').id)).toBe(false);
    expect(await users.removeToken(key(1), token('a').id)).toBe(true);
    expect(await users.removeToken(key(1), token('a').id)).toBe(false);
    expect(await users.useToken(token('a').hash, 5000)).toBeNull();
  });

  it('lists them newest first, without what would open anything, and when each was used last', async () => {
    await signIn(1, 'alice');
    await users.addToken(token('old'), 10);
    await users.addToken(token('new', { createdAtMs: 2000, expiresAtMs: 9000 }), 10);
    await users.useToken(token('old').hash, 100_000);
    await users.useToken(token('old').hash, 100_001);
    const listed = await users.tokensOf(key(1));
    const name = 'laptop 🦀';
    expect(listed).toEqual([
      { id: token('new').id, name, createdAtMs: 2000, expiresAtMs: 9000, usedAtMs: null },
      { id: token('old').id, name, createdAtMs: 1000, expiresAtMs: null, usedAtMs: 100_000 },
    ]);
    // A clock that was set back says so too.
    await users.useToken(token('old').hash, 1000);
    expect((await users.tokensOf(key(1)))[1]).toMatchObject({ usedAtMs: 1000 });
  });

  it('takes none that is expired, none of nobody, and no more than there may be', async () => {
    await signIn(1, 'alice');
    await users.addToken(token('a', { expiresAtMs: 5000 }), 10);
    expect(await users.useToken(token('a').hash, 4999)).not.toBeNull();
    expect(await users.useToken(token('a').hash, 5000)).toBeNull();
    expect(await users.addToken(token('b', { user: key(9) }), 10)).toBe(false);
    expect(await users.addToken(token('b'), 1)).toBe(false);
    expect(await idsOf()).toEqual(['a']);
    // The same by chance, or twice: nobody gets what is another's.
    await expect(users.addToken(token('c', { hash: token('a').hash }), 10)).rejects.toMatchObject({
      code: expect.stringMatching(/^DATABASE_/) as string,
    });
  });
};

const revokingContract = (): void => {
  it('believes no session that was revoked, and says whether it was the first to revoke it', async () => {
    await signIn(1, 'alice');
    expect(await users.ofSession(key(1), `${host} s`)).toMatchObject({ login: 'alice' });
    expect(await users.ofSession(key(2), `${host} s`)).toBeNull();
    expect(await users.revoke(`${host} s`, 5000)).toBe(true);
    expect(await users.revoke(`${host} s`, 6000)).toBe(false);
    expect(await users.ofSession(key(1), `${host} s`)).toBeNull();
    expect(await users.ofSession(key(1), `${host} t`)).not.toBeNull();
  });

  it('forgets what nobody would believe anyway', async () => {
    await signIn(1, 'alice');
    await users.forget(100);
    await users.addToken(token('old', { expiresAtMs: 50 }), 10);
    await users.addToken(token('ends', { expiresAtMs: 100 }), 10);
    await users.addToken(token('stays'), 10);
    await users.revoke(`${host} old`, 99);
    await users.revoke(`${host} new`, 100);
    expect(await users.forget(100)).toBe(2);
    expect(await idsOf()).toEqual(['ends', 'stays']);
    expect(await users.revoke(`${host} new`, 100)).toBe(false);
    expect(await users.revoke(`${host} old`, 99)).toBe(true);
  });
};

export const userContract = (given: () => Database): void => {
  beforeAll(() => {
    users = given().users;
  });
  beforeEach(() => {
    hosts += 1;
    host = `forge-${hosts}.example`;
  });
  peopleContract();
  listingContract();
  tokenContract();
  revokingContract();
};
