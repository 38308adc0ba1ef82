// What every driver of the git port must do with a commit of a stranger's repository, over HTTP from git's own server.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExportedCommit, Git, RemoteCommit } from './git.ts';
import { type ServedGit, serveGit } from './testing/serve-git.ts';
import {
  failureOf,
  initTestRepository,
  type TestFile,
  type TestRepository,
  useTestFolder,
} from './testing/test-repository.ts';

/** @param createGit of the environment */
export const describeRemoteCommits = (driver: string, createGit: (env: NodeJS.ProcessEnv) => Git): void => {
  describe(`git port, one commit of a remote: ${driver}`, () => {
    const folder = useTestFolder();
    const { signal } = new AbortController();
    let served: ServedGit;
    let repository: TestRepository;

    beforeEach(async () => {
      repository = initTestRepository(join(folder(), 'dep'));
      repository.commit('old', { file: 'old' });
      repository.commit('new', { file: 'new', '.gitattributes': 'kept export-ignore\n', kept: 'kept' });
      served = await serveGit(folder());
    });
    afterEach(() => served.close());

    let made = 0;
    const get = (
      url: string,
      { env = process.env, ...more }: Partial<RemoteCommit> & { readonly env?: NodeJS.ProcessEnv } = {},
    ): Promise<ExportedCommit> => {
      made += 1;
      const place = { folder: join(folder(), `work-${made}`), addresses: ['127.0.0.1'] };
      const usual = { url, rev: repository.git('rev-parse', 'main~1'), maxBytes: 1024 * 1024, ...place };
      return createGit(env).exportRemoteCommit({ ...usual, ...more }, signal);
    };
    const port = (): string => new URL(served.origin).port;

    it('is fetched alone and written as it was committed, from the address that was judged', async () => {
      const { tree } = await get(`http://stranger.invalid:${port()}/dep/.git`, {
        rev: repository.git('rev-parse', 'main'),
      });
      expect(readdirSync(tree).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
        '.gitattributes',
        'file',
        'kept',
      ]);
      expect(
        await get(`${served.origin}/dep/.git`).then((one) => readFileSync(join(one.tree, 'file'), 'utf8')),
      ).toBe('old');
      for (const { headers } of served.seen) expect(headers).not.toHaveProperty('authorization');
    });

    it('goes nowhere else: not to what the name means, not over a redirect, not through a proxy', async () => {
      expect(
        await failureOf(get(`http://localhost:${port()}/dep/.git`, { addresses: ['127.0.0.2'] })),
      ).toMatch(/^GIT_/);
      expect(served.seen).toEqual([]);
      expect(await failureOf(get(`${served.origin}/moved/dep/.git`))).toMatch(/^GIT_/);
      expect(served.seen).toHaveLength(1);
      const env = { ...process.env, http_proxy: 'http://127.0.0.1:1', all_proxy: 'http://127.0.0.1:1' };
      expect(existsSync((await get(`${served.origin}/dep/.git`, { env })).tree)).toBe(true);
    });

    it.each([
      'file:///etc',
      'ext::sh -c id',
      'ssh://host/x',
      'git://host/x',
      '-oProxyCommand=id',
      'http://u@127.0.0.1/x',
      'http://127.0.0.1/x y',
    ])('refuses %s', async (url) => {
      expect(await failureOf(get(url))).toMatch(/^GIT_URL_INVALID/);
    });

    it('refuses what is no commit, is not there, or is too large', async () => {
      const url = `${served.origin}/dep/.git`;
      expect(await failureOf(get(url, { rev: 'main' }))).toMatch(/^GIT_REVISION_INVALID/);
      expect(await failureOf(get(url, { rev: 'a'.repeat(40) }))).toMatch(/^GIT_/);
      const large = Buffer.alloc(8 * 1024 * 1024, 'x').map((_, index) => (index * 2_654_435_761) >>> 13);
      repository.commit('large', { large });
      const rev = repository.git('rev-parse', 'main');
      expect(await failureOf(get(url, { rev, maxBytes: 1000 }))).toMatch(
        /^GIT_FETCH_FAILED: the commit is larger/,
      );
    });

    it('refuses what is small to fetch and large to write', async () => {
      const url = `${served.origin}/dep/.git`;
      const file = Buffer.alloc(1024 * 1024);
      repository.commit('names', Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`n${at}`, file])));
      expect(await failureOf(get(url, { rev: repository.git('rev-parse', 'main') }))).toMatch(
        /^GIT_FETCH_FAILED: the commit is larger than 8 MiB when it is written/,
      );
      // A million folders of seven objects.
      const runGit = (args: string[], input: string) =>
        execFileSync('git', ['-C', repository.path, ...args], { input, encoding: 'utf8' }).trim();
      let tree = runGit(['mktree'], '');
      for (let level = 0; level < 6; level += 1) {
        const names = Array.from({ length: 10 }, (_, at) => `040000 tree ${tree}\td${at}\n`);
        tree = runGit(['mktree'], names.join(''));
      }
      repository.git('update-ref', 'refs/heads/nested', repository.git('commit-tree', '-m', 'nested', tree));
      expect(await failureOf(get(url, { rev: repository.git('rev-parse', 'nested') }))).toMatch(
        /^GIT_FETCH_FAILED: the commit (?:has more than|is larger than)/,
      );
    });

    it('sends what it is given to whom it was given for, and to nobody else', async () => {
      const url = `${served.origin}/dep/.git`;
      await get(url, { authorization: 'Basic c2VjcmV0' });
      expect(served.seen.length).toBeGreaterThan(1);
      for (const { headers } of served.seen) expect(headers['authorization']).toBe('Basic c2VjcmV0');
      const failure = await failureOf(
        get(`${served.origin}/moved/dep/.git`, { authorization: 'Basic c2VjcmV0' }),
      );
      expect(failure).toMatch(/^GIT_/);
      expect(failure).not.toContain('c2VjcmV0');
      expect(served.seen.at(-1)?.path).toMatch(/^\/moved\//);
    });

    describe('with submodules', () => {
      const rev = 'b'.repeat(40);
      /** Commits what git itself would not let anybody add. */
      const commitLinks = (paths: readonly string[], gitmodules: TestFile | null): string => {
        const isLink = typeof gitmodules === 'object' && gitmodules !== null && 'link' in gitmodules;
        const text = isLink ? gitmodules.link : gitmodules;
        if (typeof text === 'string' && !isLink) repository.commit('links', { '.gitmodules': text });
        const lines = paths.map((path) => `160000 ${rev} 0\t${path}\n`).join('');
        repository.gitWith(lines, 'update-index', '--index-info');
        repository.git('commit', '--quiet', '--allow-empty', '-m', 'linked');
        if (!isLink) return repository.git('rev-parse', 'HEAD');
        const blob = repository.gitWith(gitmodules.link, 'hash-object', '-w', '--stdin');
        const entries = `${repository.git('ls-tree', 'HEAD')}\n120000 blob ${blob}\t.gitmodules\n`;
        const tree = repository.gitWith(entries, 'mktree', '--missing');
        repository.git('update-ref', 'refs/heads/odd', repository.git('commit-tree', '-m', 'odd', tree));
        return repository.git('rev-parse', 'odd');
      };
      const getLinks = (at: string, maxSubmodules?: number) =>
        get(`${served.origin}/dep/.git`, {
          rev: at,
          ...(maxSubmodules === undefined ? {} : { maxSubmodules }),
        });

      it('says where they are and what they are of, as their file has it', async () => {
        const at = commitLinks(
          ['a', 'deep/er/b c', 'nowhere'],
          `[submodule "one"]\npath = a\nurl = ../one\n[SUBMODULE "two"]\n\tURL = ext::sh -c id\n\tpath = "deep/er/b c/"
          [submodule "three"]\npath = gone\nurl = https://x.example/\n[include]\npath = /etc/passwd\n[submodule "none"]\npath\nurl\n`,
        );
        const { tree, submodules, entries } = await getLinks(at, 3);
        expect(submodules).toEqual([
          { path: 'a', rev, url: '../one' },
          { path: 'deep/er/b c', rev, url: 'ext::sh -c id' },
          { path: 'nowhere', rev, url: null },
        ]);
        expect(readdirSync(join(tree, 'deep', 'er', 'b c'))).toEqual([]);
        expect(entries).toBeGreaterThanOrEqual(6);
        expect((await getLinks(at)).submodules).toEqual([]);
        expect(await failureOf(getLinks(at, 2))).toMatch(/^GIT_FETCH_FAILED: it has more than 2 submodules/);
      });

      it.each<[string, TestFile, RegExp]>([
        ['is a link', { link: '/etc/passwd' }, /^GIT_NOT_A_FILE/],
        ['is no configuration', '[submodule "a"\npath', /^GIT_FETCH_FAILED: its \.gitmodules cannot be read/],
        ['has no end', '#'.repeat(300 * 1024), /^GIT_FETCH_FAILED: .*larger than 256 KiB/],
      ])('refuses a file that %s', async (_, file, why) => {
        expect(await failureOf(getLinks(commitLinks(['a'], file), 3))).toMatch(why);
      });
    });
  });
};
