// Branches and their tips, asked without a mirror.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Branch, GitSource } from '../git.ts';
import { failureOf, initTestRepository, useTestFolder } from '../testing/test-repository.ts';
import { createGitCli } from './git-cli.ts';

describe('listBranches', () => {
  const folder = useTestFolder();
  const list = (source: GitSource, listTimeoutMs = 30_000): Promise<readonly Branch[]> =>
    createGitCli({ env: process.env, listTimeoutMs }).listBranches(source);
  const serve = async (answer: RequestListener, work: (url: string) => Promise<void>): Promise<void> => {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/owner/repo.git`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };

  it('gives the same of a folder and of its URL, whatever branches are called', async () => {
    const repository = initTestRepository(join(folder(), 'origin'));
    repository.commit('first', { a: '1' });
    const first = repository.git('rev-parse', 'HEAD');
    const names = [`a'b"$(c)`, 'feature/ünï/📦', 'heads/main', 'x#%&;|<>!'];
    for (const name of names) repository.git('branch', name);
    repository.commit('second', { a: '2' });
    repository.git('tag', 'not-a-branch');
    repository.git('update-ref', 'refs/pull/7/head', 'HEAD');
    const main = { name: 'main', sha: repository.git('rev-parse', 'HEAD') };
    const expected = [...names.map((name) => ({ name, sha: first })), main];
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    for (const source of [
      { kind: 'local', path: repository.path },
      { kind: 'url', url: `file://${repository.path}` },
    ] as const) {
      expect(await list(source)).toEqual(expected.toSorted(byName));
    }
    expect(readdirSync(folder())).toEqual(['origin']);
  });

  it('gives none of a repository without commits', async () => {
    const { path } = initTestRepository(join(folder(), 'origin'));
    expect(await list({ kind: 'local', path })).toEqual([]);
    expect(await list({ kind: 'url', url: `file://${path}` })).toEqual([]);
  });

  it('says what is wrong with what is none', async () => {
    mkdirSync(join(folder(), 'plain'));
    writeFileSync(join(folder(), 'file'), 'text');
    for (const name of ['plain', 'file', 'missing']) {
      expect(await failureOf(list({ kind: 'local', path: join(folder(), name) }))).toMatch(/^GIT_NOT_A_REPO/);
    }
    expect(await failureOf(list({ kind: 'url', url: `file://${folder()}/plain` }))).toMatch(
      /^GIT_FETCH_FAILED/,
    );
    expect(await failureOf(list({ kind: 'url', url: 'ext::sh -c id' }))).toMatch(/^GIT_URL_INVALID/);
  });

  it('is not held up by a remote that asks for a password, talks nonsense or says nothing', async () => {
    const asks: RequestListener = (_, response) => {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end();
    };
    const babbles: RequestListener = (_, response) => {
      response.end('<html>we have moved</html>');
    };
    await serve(asks, async (url) => {
      expect(await failureOf(list({ kind: 'url', url }))).toMatch(/^GIT_AUTHENTICATION_FAILED/);
    });
    // Git takes it for a server without a git, and for its list of no refs: the base branch is missed then.
    await serve(babbles, async (url) => {
      expect(await list({ kind: 'url', url })).toEqual([]);
    });
    await serve(
      () => {},
      async (url) => {
        expect(await failureOf(list({ kind: 'url', url }, 300))).toMatch(/^GIT_TIMEOUT/);
      },
    );
  });
});
