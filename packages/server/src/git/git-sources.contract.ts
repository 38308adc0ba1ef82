// What every driver of the git port must do, told on real repositories: kinds of local repositories.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Git, Mirror } from './git.ts';
import {
  failureOf,
  fingerprint,
  fork,
  initTestRepository,
  type TestRepository,
  testRepositoryAt,
  threeCommits,
  useTestFolder,
} from './testing/test-repository.ts';

export const describeGitSources = (driver: string, createGit: () => Git): void => {
  describe(`git port, local sources: ${driver}`, () => {
    const folder = useTestFolder();
    const openLocal = (path: string, name = 'mirror'): Promise<Mirror> =>
      createGit().openMirror({ kind: 'local', path }, join(folder(), name));
    const init = (name = 'repository', ...args: string[]): TestRepository =>
      initTestRepository(join(folder(), name), ...args);

    it('opens a folder inside, a linked worktree, a bare repository, packed refs, borrowed objects', async () => {
      const repository = threeCommits(init());
      repository.write({ 'deep/er/x': 'x' });
      repository.git('branch', 'other', 'HEAD~1');
      repository.git('worktree', 'add', '--quiet', join(folder(), 'linked'), 'other');
      repository.git('clone', '--quiet', '--bare', '.', join(folder(), 'bare.git'));
      repository.git('clone', '--quiet', '--shared', '.', join(folder(), 'shared'));
      writeFileSync(
        join(folder(), 'shared/.git/objects/info/alternates'),
        '../../../repository/.git/objects\n',
      );
      repository.git('pack-refs', '--all');
      repository.git('repack', '-adq');
      const subject = async (path: string): Promise<string> =>
        (
          await (
            await openLocal(join(folder(), path), `mirror of ${path.replaceAll('/', ' ')}`)
          ).resolve('HEAD')
        ).subject;
      expect(await subject('repository/deep/er')).toBe('third: été');
      expect(await subject('linked')).toBe('second');
      expect(await subject('bare.git')).toBe('third: été');
      expect(await subject('shared')).toBe('third: été');
    });

    it('opens paths with strange names, and repositories with sha256', async () => {
      const repository = threeCommits(init(`it's "a"\n\\strange é 📦: path`, '--object-format=sha256'));
      const mirror = await openLocal(repository.path, `mirror "\n: of it`);
      const { sha, tree } = await mirror.resolve('main');
      expect(sha).toHaveLength(64);
      const exported = await mirror.exportTree(tree, join(folder(), 'out'));
      expect(readFileSync(join(exported, 'a.nix'), 'utf8')).toBe('3\n');
      const first = await mirror.resolve('main~2');
      expect(await mirror.mergeBase(sha, first.sha)).toBe(first.sha);
    });

    it('says what is no repository, and what is an empty one', async () => {
      const plain = join(folder(), 'plain');
      mkdirSync(plain);
      writeFileSync(join(plain, 'file'), '');
      for (const path of [plain, join(plain, 'file'), join(plain, 'missing')]) {
        expect(await failureOf(openLocal(path))).toMatch(/^GIT_NOT_A_REPOSITORY.*(git init|name the folder)/);
      }
      expect(readdirSync(folder())).toEqual(['plain']);
      const mirror = await openLocal(init('empty').path);
      expect(await failureOf(mirror.resolve('HEAD'))).toMatch(/^GIT_EMPTY_REPOSITORY/);
      expect(await mirror.branches()).toEqual([]);
      expect(await mirror.defaultBranch()).toBe(null);
    });

    it('works in a shallow clone that has the history it needs', async () => {
      const origin = init('origin');
      origin.commit('cut off', { a: '0' });
      const { base, head } = fork(origin, { common: { a: '1' }, main: { b: '2' }, change: { c: '3' } });
      const clone = ['clone', '--quiet', '--depth=2', '--no-single-branch', `file://${origin.path}`];
      origin.git(...clone, join(folder(), 'shallow'));
      const mirror = await openLocal(join(folder(), 'shallow'));
      expect(await mirror.mergeBase(base, head)).toBe(origin.git('rev-parse', 'main~1'));
      expect((await mirror.trialMerge(base, head)).kind).toBe('merged');
      expect(await failureOf(mirror.resolve('HEAD~2'))).toMatch(/^GIT_SHALLOW/);
    });

    it('says that a shallow clone lacks history, and sees when it no longer does', async () => {
      const origin = init('origin');
      const { base, head } = fork(origin, { common: { a: '1' }, main: { b: '2' }, change: { c: '3' } });
      origin.git(
        'clone',
        '--quiet',
        '--depth=1',
        '--no-single-branch',
        `file://${origin.path}`,
        join(folder(), 'shallow'),
      );
      const clone = testRepositoryAt(join(folder(), 'shallow'));
      const mirror = await openLocal(clone.path);
      expect(await failureOf(mirror.mergeBase(base, head))).toMatch(/^GIT_SHALLOW.*git fetch --unshallow/);
      expect(await failureOf(mirror.trialMerge(base, head))).toMatch(/^GIT_SHALLOW/);
      expect(await failureOf(mirror.resolve('HEAD~1'))).toMatch(/^GIT_SHALLOW/);
      clone.git('fetch', '--quiet', '--unshallow');
      expect((await mirror.trialMerge(base, head)).kind).toBe('merged');
      expect(await mirror.mergeBase(base, head)).toBe(origin.git('rev-parse', 'main~1'));
    });

    it('writes nothing into the repository that it reads, locked or not', async () => {
      const repository = init();
      const { base, head } = fork(repository, {
        common: { a: '1\n' },
        main: { b: '2' },
        change: { c: '3' },
      });
      repository.git('repack', '-adq');
      repository.git('checkout', '--quiet', 'change');
      repository.commit('conflicting', { b: 'other' });
      writeFileSync(join(repository.path, '.git/index.lock'), '');
      writeFileSync(join(repository.path, '.git/HEAD.lock'), '');
      writeFileSync(join(repository.path, '.git/hooks/post-index-change'), '#!/bin/sh\ntouch was-here\n', {
        mode: 0o755,
      });
      repository.git('config', 'core.fsmonitor', 'touch was-here');
      const before = fingerprint(repository.path);
      const mirror = await openLocal(repository.path);
      const merged = await mirror.trialMerge(base, head);
      if (merged.kind !== 'merged') throw new Error('expected a merge');
      await mirror.exportTree(merged.tree, join(folder(), 'out'));
      const change = await mirror.resolve('change');
      expect((await mirror.trialMerge(base, change.sha)).kind).toBe('conflict');
      await mirror.changedPaths(merged.tree, change.tree);
      await mirror.readFile(merged.tree, 'a', 10);
      await mirror.submodules(merged.tree);
      await mirror.branches();
      await mirror.defaultBranch();
      expect(fingerprint(repository.path)).toEqual(before);
      // No object of the merge is there either.
      expect(() => repository.git('cat-file', '-e', merged.tree)).toThrow('cat-file');
    });
  });
};
