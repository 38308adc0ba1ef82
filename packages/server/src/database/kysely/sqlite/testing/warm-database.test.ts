// A database in a thread that was kept is as new as one in a thread of its own.
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { newNode } from '../../../testing/samples.ts';
import { openWarmDatabase } from './warm-database.ts';

const open = (path = ':memory:') => openWarmDatabase({ path, durability: 'process-death' });

it('holds nothing of the one before, which is closed', async () => {
  const node = newNode();
  const first = await open();
  await first.derivations.save([node]);
  const saved = first.derivations.known([node.path]);
  await Promise.all([first.close(), first.close()]);
  expect(await saved).toEqual(new Set([node.path]));
  const [second, third] = [await open(), await open()];
  expect(await second.derivations.known([node.path])).toEqual(new Set());
  await expect(first.derivations.known([node.path])).rejects.toMatchObject({ code: 'DATABASE_CLOSED' });
  await second.close();
  expect(await third.derivations.known([node.path])).toEqual(new Set());
  await third.close();
});

it('says what is wrong with its file, and the next one opens', async () => {
  await (await open()).close();
  await expect(open(tmpdir())).rejects.toMatchObject({ code: expect.stringMatching(/^DATABASE_/) as string });
  await (await open()).close();
});
