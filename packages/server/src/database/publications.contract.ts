// Contract of the port's publications: kept with a verdict or not at all, and read by each reader until it took them.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database, NewPublication } from './database.ts';
import { judgedResult } from './testing/samples.ts';

const owner = 'a';

/** @param open makes an empty database that nobody else uses */
export const publicationContract = (open: () => Promise<Database>): void => {
  let database: Database;
  let told: number;
  beforeEach(async () => {
    database = await open();
    told = 0;
  });
  afterEach(() => database.close());

  /** A change that is being judged. @returns its id */
  const judging = async (branch = 'b'): Promise<string> => {
    const key = `publication ${told++}`;
    const head = String(told).padStart(40, '0') as CommitSha;
    await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
    const update = { kind: 'head-moved', repository: 'o/r', branch, base: head, head, title: 't' } as const;
    await database.changes.apply([{ deliveryKey: key, update: { ...update, newId: key } }], 1000);
    await database.changes.claimNext({ owner, nowMs: 0, untilMs: 100 });
    return key;
  };
  const finish = (id: string, handedOn: NewPublication | readonly NewPublication[], by = owner) => {
    const publications = 'json' in handedOn ? [handedOn] : handedOn;
    return database.changes.finish({ id, owner: by }, judgedResult({ publications }), 2000);
  };

  it('keeps what a judgement hands on for each of its readers, until they took it', async () => {
    const { publications } = database;
    const first = await judging('one');
    expect(await finish(first, { readers: ['pushes', 'hooks'], json: '{"a":1}' })).toBe(true);
    const second = await judging('two');
    await finish(second, { readers: ['pushes'], json: '{"b":2}' });
    const [one, two] = await publications.waiting('pushes', 10);
    expect([one, two]).toEqual([
      { id: one?.id, changeId: first, repository: 'o/r', json: '{"a":1}', atMs: 2000 },
      { id: two?.id, changeId: second, repository: 'o/r', json: '{"b":2}', atMs: 2000 },
    ]);
    expect(await publications.waiting('pushes', 1)).toEqual([one]);
    expect(await publications.waiting('hooks', 10)).toEqual([one]);
    await publications.taken('pushes', one?.id ?? 0);
    await publications.taken('pushes', one?.id ?? 0);
    expect(await publications.waiting('pushes', 10)).toEqual([two]);
    expect(await publications.waiting('hooks', 10)).toEqual([one]);
    await publications.taken('hooks', one?.id ?? 0);
    await publications.taken('hooks', one?.id ?? 0);
    expect(await publications.waiting('hooks', 10)).toEqual([]);
  });

  it('keeps nothing of a judgement whose lease was lost, or that hands nothing on', async () => {
    const { publications } = database;
    const lost = await judging();
    expect(await finish(lost, { readers: ['pushes'], json: '{}' }, 'somebody else')).toBe(false);
    expect(await finish(lost, [])).toBe(true);
    await finish(await judging('other'), { readers: [], json: '{}' });
    expect(await publications.waiting('pushes', 10)).toEqual([]);
  });

  it('keeps all parts of one judgement in their order, or none', async () => {
    const { publications } = database;
    const parts = Array.from(
      { length: 20 },
      (_, part): NewPublication => ({
        readers: [part < 15 ? 'pushes' : 'hooks'],
        json: String(part),
      }),
    );
    const lost = await judging('lost');
    expect(await finish(lost, parts, 'somebody else')).toBe(false);
    expect(await publications.waiting('pushes', 100)).toEqual([]);
    expect(await finish(lost, parts)).toBe(true);
    expect((await publications.waiting('pushes', 2)).map(({ json }) => json)).toEqual(['0', '1']);
    const [first] = await publications.waiting('pushes', 1);
    await publications.taken('pushes', first?.id ?? 0);
    const numbers = parts.map(({ json }) => json);
    expect((await publications.waiting('pushes', 100)).map(({ json }) => json)).toEqual(numbers.slice(1, 15));
    expect((await publications.waiting('hooks', 100)).map(({ json }) => json)).toEqual(numbers.slice(15));
  });

  it('hands on once more what is judged once more', async () => {
    const { publications } = database;
    const id = await judging();
    await finish(id, { readers: ['pushes'], json: '1' });
    await database.changes.requeue(id, { atMs: 3000 });
    await database.changes.claimNext({ owner, nowMs: 4000, untilMs: 5000 });
    await finish(id, { readers: ['pushes'], json: '2' });
    expect((await publications.waiting('pushes', 10)).map(({ json }) => json)).toEqual(['1', '2']);
  });
};
