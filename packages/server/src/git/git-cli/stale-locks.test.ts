import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { failureOf, initTestRepository, useTestFolder } from '../testing/test-repository.ts';
import { createGitCli } from './git-cli.ts';
import { removeStaleLocks } from './stale-locks.ts';

const folder = useTestFolder();

it('lets a mirror be fetched again whose git was killed while it held locks', async () => {
  const repository = initTestRepository(join(folder(), 'origin'));
  repository.commit('first', { a: '1' });
  repository.git('branch', 'deep/er/topic');
  const mirrors = join(folder(), 'mirrors');
  mkdirSync(mirrors);
  writeFileSync(join(mirrors, 'no mirror at all'), '');
  const open = () =>
    createGitCli({ env: process.env }).openMirror(
      { kind: 'url', url: `file://${repository.path}` },
      join(mirrors, 'one.git'),
    );
  await open();
  expect(await removeStaleLocks(mirrors)).toEqual([]);
  const second = repository.commit('second', { a: '2' });
  repository.git('branch', '-f', 'deep/er/topic');
  const locks = ['HEAD.lock', 'config.lock', 'packed-refs.lock', 'refs/heads/deep/er/topic.lock'];
  for (const lock of locks) writeFileSync(join(mirrors, 'one.git', lock), '');
  expect(await failureOf(open())).toMatch(/^GIT_/);
  expect((await removeStaleLocks(mirrors)).length).toBe(4);
  const mirror = await open();
  expect((await mirror.resolve('deep/er/topic')).sha).toBe(second);
});
