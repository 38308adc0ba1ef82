// Derivations of private repositories, where the database fails in the middle.
import { expect, it } from 'vitest';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newPath } from '../../database/testing/samples.ts';
import { createPrivateDerivations } from './private-derivations.ts';

it('writes what a fault kept it from writing when it is claimed once more', async () => {
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  let isFull = true;
  const privacy: typeof database.privacy = {
    ...database.privacy,
    claim: (...asked) =>
      isFull ? Promise.reject(new Error('the disk is full')) : database.privacy.claim(...asked),
  };
  const owner = { host: 'github.com', repositoryId: 5 };
  const path = newPath('secret-1.0');
  const known = createPrivateDerivations(privacy);
  await expect(known.claim(owner, [{ path, hasRow: false }])).rejects.toThrow('full');
  // Not shown meanwhile; and by now others have stored it.
  expect(known.ownersOf(path)).toHaveLength(1);
  isFull = false;
  await known.claim(owner, [{ path, hasRow: true }]);
  const restarted = createPrivateDerivations(privacy);
  await restarted.load();
  expect(restarted.ownersOf(path)).toHaveLength(1);
  await database.close();
});
