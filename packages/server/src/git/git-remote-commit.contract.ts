// What every driver of the git port must do with a commit of a stranger's repository, over HTTP from git's own server.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Git } from './git.ts';
import { type ServedGit, serveGit } from './testing/serve-git.ts';
import {
  failureOf,
  initTestRepository,
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
      more: { rev?: string; addresses?: readonly string[]; maxBytes?: number; env?: NodeJS.ProcessEnv } = {},
    ) => {
      made += 1;
      const {
        rev = repository.git('rev-parse', 'main~1'),
        addresses = ['127.0.0.1'],
        maxBytes = 1024 * 1024,
      } = more;
      const asked = { url, rev, addresses, maxBytes, folder: join(folder(), `work-${made}`) };
      return createGit(more.env ?? process.env).exportRemoteCommit(asked, signal);
    };
    const port = (): string => new URL(served.origin).port;

    it('is fetched alone and written as it was committed, from the address that was judged', async () => {
      const tree = await get(`http://stranger.invalid:${port()}/dep/.git`, {
        rev: repository.git('rev-parse', 'main'),
      });
      expect(readdirSync(tree).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
        '.gitattributes',
        'file',
        'kept',
      ]);
      expect(
        await get(`${served.origin}/dep/.git`).then((one) => readFileSync(join(one, 'file'), 'utf8')),
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
      expect(existsSync(await get(`${served.origin}/dep/.git`, { env }))).toBe(true);
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
  });
};
