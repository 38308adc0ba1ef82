// What every driver of the git port must do, told on real repositories: what is only asked, without a mirror.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Git, GitSource } from './git.ts';
import {
  fingerprint,
  initTestRepository,
  type TestRepository,
  testRepositoryAt,
  threeCommits,
  useTestFolder,
} from './testing/test-repository.ts';

/** @param createGit of the environment */
export const describeGitAsking = (driver: string, createGit: (env: NodeJS.ProcessEnv) => Git): void => {
  const folder = useTestFolder();
  const init = (): TestRepository => threeCommits(initTestRepository(join(folder(), 'repository')));
  const sourcesOf = ({ path }: TestRepository): readonly GitSource[] => [
    { kind: 'local', path },
    { kind: 'url', url: `file://${path}` },
  ];

  describe(`git port, commits by their names: ${driver}`, () => {
    it('finds the same here and there, in the order of the names, and writes nothing', async () => {
      const repository = init();
      repository.git('tag', '-m', 'annotated', 'v1', 'HEAD~1');
      repository.git('branch', 'feature/x', 'HEAD~2');
      repository.git('checkout', '--quiet', '--detach', 'v1');
      const sha = (revision: string): string => repository.git('rev-parse', `${revision}^{commit}`);
      const names = ['v1', 'refs/heads/feature/x', 'main', 'HEAD', sha('main')];
      const before = fingerprint(repository.path);
      for (const source of sourcesOf(repository)) {
        const found = await createGit(process.env).findCommits(source, [...names, null]);
        expect(found).toEqual([...names, 'main'].map((revision) => ({ revision, sha: sha(revision) })));
      }
      expect(fingerprint(repository.path)).toEqual(before);
    });

    it('takes the default branch of the other side, else main, else master, else none', async () => {
      const repository = init();
      const [, remote] = sourcesOf(repository);
      const asked = async (): Promise<string | undefined> => {
        if (remote === undefined) throw new Error('there is no remote');
        return (await createGit(process.env).findCommits(remote, [null]))[0]?.revision;
      };
      repository.git('branch', 'trunk');
      repository.git('symbolic-ref', 'HEAD', 'refs/heads/trunk');
      expect(await asked()).toBe('trunk');
      repository.git('symbolic-ref', 'HEAD', 'refs/heads/unborn');
      expect(await asked()).toBe('main');
      repository.git('branch', '-m', 'main', 'other');
      await expect(asked()).rejects.toMatchObject({ code: 'GIT_REVISION_NOT_FOUND' });
    });

    it('ends with the signal', async () => {
      const [source] = sourcesOf(init());
      if (source === undefined) throw new Error('there is no source');
      const asked = createGit(process.env).findCommits(
        source,
        ['main'],
        AbortSignal.abort(new Error('enough')),
      );
      await expect(asked).rejects.toThrow('enough');
    });
  });

  describe(`git port, working trees: ${driver}`, () => {
    const inspect = (path: string, env: NodeJS.ProcessEnv = process.env) =>
      createGit(env).inspectWorkingTree({ kind: 'local', path });

    it('tells what is not committed, from any folder inside, and touches nothing', async () => {
      const repository = init();
      const head = repository.git('rev-parse', 'HEAD');
      const inside = join(repository.path, 'deep/er');
      mkdirSync(inside, { recursive: true });
      expect(await inspect(inside)).toEqual({ head, hasUncommitted: false });
      repository.write({ new: 'not added' });
      const before = fingerprint(repository.path);
      expect(await inspect(inside)).toEqual({ head, hasUncommitted: true });
      expect(fingerprint(repository.path)).toEqual(before);
      repository.git('add', 'new');
      expect(await inspect(repository.path)).toEqual({ head, hasUncommitted: true });
      repository.commit('now it is');
      repository.write({ 'a.nix': 'other\n' });
      expect(await inspect(repository.path)).toMatchObject({ hasUncommitted: true });
    });

    it('of a linked worktree its own; of a bare repository, and before the first commit, none', async () => {
      const repository = init();
      const linked = join(folder(), 'linked');
      repository.git('worktree', 'add', '--quiet', linked, 'HEAD~1');
      writeFileSync(join(linked, 'new'), '');
      const head = repository.git('rev-parse', 'HEAD~1');
      expect(await inspect(linked)).toEqual({ head, hasUncommitted: true });
      expect(await inspect(repository.path)).toMatchObject({ hasUncommitted: false });
      repository.git('clone', '--quiet', '--bare', '.', join(folder(), 'bare.git'));
      expect(await inspect(join(folder(), 'bare.git'))).toBeNull();
      expect(await inspect(initTestRepository(join(folder(), 'empty')).path)).toBeNull();
    });

    it('passes over what the repository and its user ignore', async () => {
      const repository = init();
      repository.commit('ignore', { '.gitignore': '*.log\n' });
      repository.write({ 'x.log': '', 'x.swp': '' });
      const home = join(folder(), 'home');
      mkdirSync(join(home, '.config/git'), { recursive: true });
      const env = { PATH: process.env['PATH'], HOME: home };
      expect(await inspect(repository.path, env)).toMatchObject({ hasUncommitted: true });
      writeFileSync(join(home, '.config/git/ignore'), '*.swp\n');
      expect(await inspect(repository.path, env)).toMatchObject({ hasUncommitted: false });
      writeFileSync(join(home, '.gitconfig'), '[core]\nexcludesFile = ~/mine\n');
      expect(await inspect(repository.path, env)).toMatchObject({ hasUncommitted: true });
      writeFileSync(join(home, 'mine'), '*.swp\n');
      expect(await inspect(repository.path, env)).toMatchObject({ hasUncommitted: false });
    });

    it('runs no program that the configuration of the repository names', async () => {
      const repository = init();
      const marker = join(folder(), 'ran');
      repository.commit('filtered', { '.gitattributes': '* filter=evil\n', file: 'one\n' });
      const evil = `sh -c 'echo ran >> ${marker}; cat'`;
      for (const key of ['filter.evil.clean', 'filter.evil.process', 'core.fsmonitor', 'core.pager']) {
        testRepositoryAt(repository.path).git('config', key, evil);
      }
      repository.git('config', 'filter.evil.required', 'true');
      // As long as before, so that only the contents can tell.
      writeFileSync(join(repository.path, 'file'), 'two\n');
      expect(await inspect(repository.path)).toMatchObject({ hasUncommitted: true });
      expect(() => statSync(marker)).toThrow(/ENOENT/);
      expect(readFileSync(join(repository.path, 'file'), 'utf8')).toBe('two\n');
    });
  });
};
