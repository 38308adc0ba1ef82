// What every driver of the git port must do, told on real repositories: commits, merges, trees.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Git, Mirror, TrialMerge } from './git.ts';
import {
  failureOf,
  fork,
  initTestRepository,
  type TestRepository,
  threeCommits,
  useTestFolder,
} from './testing/test-repository.ts';

export const describeGit = (driver: string, createGit: () => Git): void => {
  describe(`git port: ${driver}`, () => {
    const folder = useTestFolder();
    const openLocal = (path: string, name = 'mirror'): Promise<Mirror> =>
      createGit().openMirror({ kind: 'local', path }, join(folder(), name));
    const init = (name = 'repository', ...args: string[]): TestRepository =>
      initTestRepository(join(folder(), name), ...args);

    describe('resolve', () => {
      it('finds the commit that a branch, a tag, a sha or a path of ancestry names', async () => {
        const repository = threeCommits(init());
        repository.git('tag', 'light', 'HEAD~1');
        repository.git('tag', '-m', 'annotated', 'v1', 'HEAD~2');
        repository.git('tag', '-m', 'a tag of a tag', 'v1-again', 'v1');
        repository.git('branch', 'feature/ünï');
        const mirror = await openLocal(repository.path);
        const head = await mirror.resolve('main');
        expect(head).toEqual({
          sha: repository.git('rev-parse', 'HEAD'),
          tree: repository.treeOf('HEAD'),
          subject: 'third: été',
          committedAt: 1_700_000_000_000,
        });
        for (const same of ['HEAD', 'feature/ünï', 'refs/heads/main', head.sha, head.sha.slice(0, 8), '@']) {
          expect(await mirror.resolve(same)).toEqual(head);
        }
        expect((await mirror.resolve('HEAD~2')).subject).toBe('first');
        expect((await mirror.resolve('light')).subject).toBe('second');
        expect((await mirror.resolve('v1')).subject).toBe('first');
        expect((await mirror.resolve('v1-again')).subject).toBe('first');
        // Later commits of the borrowed repository are seen without opening again.
        repository.commit('fourth', { 'a.nix': '4\n' });
        expect((await mirror.resolve('main')).subject).toBe('fourth');
      });

      it('refuses what does not name one commit', async () => {
        const repository = threeCommits(init());
        const mirror = await openLocal(repository.path);
        for (const revision of [
          '',
          ' ',
          '-n',
          '--all',
          'main..HEAD',
          'main...HEAD',
          '^main',
          'main^@',
          'main^!',
          'main^-1',
          'ma\0in',
          'main\n',
          ':/third',
          ':a.nix',
          'x'.repeat(1001),
        ]) {
          expect(await failureOf(mirror.resolve(revision))).toMatch(/^GIT_REVISION_INVALID/);
        }
        for (const revision of [
          'nothing',
          'main:a.nix',
          'HEAD^{tree}',
          repository.treeOf('HEAD'),
          'HEAD~9',
        ]) {
          expect(await failureOf(mirror.resolve(revision))).toMatch(/^GIT_REVISION_NOT_FOUND/);
        }
        expect(await failureOf(mirror.resolve('mian~1'))).toContain('did you mean main?');
        expect(await failureOf(mirror.resolve('1'.repeat(40)))).toContain('fetch it first');
      });

      it('refuses a name with two meanings, unless they are the same', async () => {
        const repository = threeCommits(init());
        repository.git('tag', 'both', 'HEAD');
        repository.git('branch', 'both', 'HEAD');
        repository.git('tag', 'main', 'HEAD~1');
        const mirror = await openLocal(repository.path);
        expect((await mirror.resolve('both')).subject).toBe('third: été');
        const answer = await failureOf(mirror.resolve('main~1'));
        expect(answer).toMatch(/^GIT_AMBIGUOUS_REVISION.*refs\/tags\/main/);
        expect(answer).toContain('refs/heads/main');
        expect((await mirror.resolve('refs/tags/main')).subject).toBe('second');
      });

      it('refuses the beginning of two shas', async () => {
        const repository = init();
        const commit = (_: unknown, index: number): string =>
          `commit refs/heads/main\ncommitter A <a@b> ${index} +0000\ndata 0\n`;
        repository.gitWith(Array.from({ length: 800 }, commit).join(''), 'fast-import', '--quiet');
        const shas = repository.git('rev-list', 'main').split('\n');
        const twice = shas
          .map((sha) => sha.slice(0, 4))
          .find((short, index, all) => all.indexOf(short) !== index);
        const mirror = await openLocal(repository.path);
        expect(await failureOf(mirror.resolve(twice ?? 'none'))).toMatch(
          /^GIT_AMBIGUOUS_REVISION.*write more of it/,
        );
      });
    });

    describe('defaultBranch and branches', () => {
      it('takes the remote HEAD, else main, else master', async () => {
        const repository = threeCommits(init());
        const mirror = await openLocal(repository.path);
        expect(await mirror.defaultBranch()).toBe('main');
        repository.git('update-ref', 'refs/remotes/origin/trunk', 'HEAD');
        repository.git('symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/trunk');
        expect(await mirror.defaultBranch()).toBe('origin/trunk');
        repository.git('update-ref', '-d', 'refs/remotes/origin/trunk');
        expect(await mirror.defaultBranch()).toBe('main');
        repository.git('branch', '-m', 'main', 'master');
        expect(await mirror.defaultBranch()).toBe('master');
        repository.git('branch', '-m', 'master', 'else');
        expect(await mirror.defaultBranch()).toBe(null);
      });

      it('lists branches whatever they are called', async () => {
        const repository = threeCommits(init());
        const sha = repository.git('rev-parse', 'HEAD');
        const names = [`a'b"$(c)`, 'feature/ünï/📦', 'heads/main', 'main'];
        for (const name of names.slice(0, -1)) repository.git('branch', name);
        repository.git('tag', 'not-a-branch');
        const mirror = await openLocal(repository.path);
        expect(await mirror.branches()).toEqual(names.map((name) => ({ name, sha })));
      });
    });

    describe('trialMerge', () => {
      it('gives the tree that git merge would', async () => {
        const repository = init();
        const common = { 'a.nix': 'one\ntwo\nthree\nfour\nfive\n', 'old name': 'x\n'.repeat(30) };
        const { base, head } = fork(repository, {
          common,
          main: {
            'a.nix': 'ONE\ntwo\nthree\nfour\nfive\n',
            'old name': null,
            'new name': `${'x\n'.repeat(30)}y\n`,
          },
          change: { 'a.nix': 'one\ntwo\nthree\nfour\nFIVE\n', 'old name': `z\n${'x\n'.repeat(30)}` },
        });
        const mirror = await openLocal(repository.path);
        const merged = await mirror.trialMerge(base, head);
        repository.git('merge', '--quiet', '-m', 'merge', 'change');
        expect(merged).toEqual({ kind: 'merged', tree: repository.treeOf('HEAD') });
        const tip = await mirror.resolve('main');
        expect(await mirror.trialMerge(tip.sha, head)).toEqual(merged);
        expect(await mirror.trialMerge(head, tip.sha)).toEqual(merged);
      });

      it('names the files in conflict and why, whatever they are called', async () => {
        const repository = init();
        const { base, head } = fork(repository, {
          common: { 'a.nix': '1\n', 'gone\nfile': 'text\n', fine: '1\n' },
          main: { 'a.nix': '2\n', 'gone\nfile': 'other text\n', new: 'm\n', fine: '2\n', spot: 'file' },
          change: { 'a.nix': '3\n', 'gone\nfile': null, new: 'c\n', 'spot/é': 'in a folder' },
        });
        const merge = await (await openLocal(repository.path)).trialMerge(base, head);
        expect(merge).toEqual({
          kind: 'conflict',
          files: [
            { path: 'a.nix', kind: 'contents' },
            { path: 'gone\nfile', kind: 'modify/delete' },
            { path: 'new', kind: 'contents' },
            { path: expect.stringMatching(/^spot~/) as string, kind: 'file/directory' },
          ],
          message: expect.stringContaining('CONFLICT (content): Merge conflict in a.nix') as string,
        } satisfies TrialMerge);
      });

      it('tells histories that have nothing in common', async () => {
        const repository = threeCommits(init());
        repository.git('checkout', '--quiet', '--orphan', 'other');
        const other = repository.commit('other', { c: '1' });
        const mirror = await openLocal(repository.path);
        const main = await mirror.resolve('main');
        expect(await mirror.trialMerge(main.sha, other)).toEqual({ kind: 'unrelated' });
        expect(await mirror.mergeBase(main.sha, other)).toBe(null);
      });
    });

    describe('changedPaths', () => {
      it('gives both names of a renamed file, and hides nothing', async () => {
        const repository = init();
        const gitmodules = '[submodule "sub"]\n\tpath = sub\n\turl = ./x\n\tignore = all\n';
        repository.commit('one', {
          old: 'x\n'.repeat(50),
          kind: 'text',
          same: '1',
          'dir/a': '1',
          '.gitmodules': gitmodules,
        });
        const point = (sha: string): string =>
          repository.git('update-index', '--add', '--cacheinfo', `160000,${sha},sub`);
        point('1'.repeat(40));
        repository.git('commit', '--quiet', '--amend', '-m', 'one');
        repository.write({
          old: null,
          'new\nname': 'x\n'.repeat(50),
          kind: { link: 'same' },
          'dir/a': null,
          'dir/*': '2',
        });
        repository.git('add', '--all', 'old', 'new\nname', 'kind', 'dir');
        point('2'.repeat(40));
        repository.git('commit', '--quiet', '-m', 'two');
        const mirror = await openLocal(repository.path);
        const [one, two] = [repository.treeOf('HEAD~1'), repository.treeOf('HEAD')];
        expect(await mirror.changedPaths(one, two)).toEqual([
          'dir/*',
          'dir/a',
          'kind',
          'new\nname',
          'old',
          'sub',
        ]);
        expect(await mirror.changedPaths(two, two)).toEqual([]);
      });
    });

    describe('readFile', () => {
      it('gives the beginning of a file, and follows nothing', async () => {
        const repository = init();
        repository.commit('files', {
          '.eka-ci/config.json': '{}\n',
          'a*b/[c]': new Uint8Array([0, 255, 10]),
          axb: 'other',
          link: { link: '.eka-ci/config.json' },
          folder: { link: '.eka-ci' },
        });
        const mirror = await openLocal(repository.path);
        const tree = repository.treeOf('HEAD');
        const read = (path: string, maxBytes = 100): Promise<Uint8Array | null> =>
          mirror.readFile(tree, path, maxBytes);
        expect(await read('.eka-ci/config.json')).toEqual(new TextEncoder().encode('{}\n'));
        expect(await read('.eka-ci/config.json', 2)).toEqual(new TextEncoder().encode('{}'));
        expect(await read('a*b/[c]')).toEqual(new Uint8Array([0, 255, 10]));
        for (const path of [
          'missing',
          'a*b/x',
          'a*',
          'axb/x',
          '../axb',
          '/axb',
          '',
          '.',
          './axb',
          'axb/',
          ':(glob)**',
        ]) {
          expect(await read(path)).toBe(null);
        }
        for (const path of ['link', 'folder', 'a*b', 'folder/config.json']) {
          expect(await failureOf(read(path))).toMatch(/^GIT_NOT_A_FILE/);
        }
      });
    });
  });
};
