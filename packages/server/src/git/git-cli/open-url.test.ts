import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Mirror, UrlSource } from '../git.ts';
import {
  failureOf,
  initTestRepository,
  type TestRepository,
  useTestFolder,
} from '../testing/test-repository.ts';
import { createGitCli } from './git-cli.ts';

describe('openMirror of a URL', () => {
  const folder = useTestFolder();
  const open = (source: Omit<UrlSource, 'kind'>, fetchTimeoutMs = 30_000): Promise<Mirror> =>
    createGitCli({ env: process.env, fetchTimeoutMs }).openMirror(
      { kind: 'url', ...source },
      join(folder(), 'mirror'),
    );
  const origin = (...initArgs: string[]): TestRepository => {
    const repository = initTestRepository(join(folder(), 'origin'), ...initArgs);
    repository.commit('first', { a: '1' });
    repository.git('checkout', '--quiet', '-b', 'trunk');
    repository.commit('second', { a: '2' });
    repository.git('tag', '-m', 'annotated', 'v1');
    repository.git('update-ref', 'refs/pull/7/head', 'HEAD~1');
    return repository;
  };
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

  it.each(['sha1', 'sha256'])(
    'fetches branches, tags and the name of the default branch: %s',
    async (format) => {
      const repository = origin(`--object-format=${format}`);
      const url = `file://${repository.path}`;
      const mirror = await open({ url });
      expect(await mirror.defaultBranch()).toBe('trunk');
      expect((await mirror.branches()).map(({ name }) => name)).toEqual(['main', 'trunk']);
      expect((await mirror.resolve('v1')).subject).toBe('second');
      expect((await mirror.resolve('HEAD')).subject).toBe('second');
      // Opened again it follows: a branch that is gone goes, one that was forced moves, the default branch too.
      repository.git('branch', '-D', 'main');
      repository.git('checkout', '--quiet', '--orphan', 'next');
      repository.commit('other', { b: '1' });
      repository.git('branch', '-f', 'trunk', 'next');
      const again = await open({ url });
      expect((await again.branches()).map(({ name }) => name)).toEqual(['next', 'trunk']);
      expect(await again.defaultBranch()).toBe('next');
      expect((await again.resolve('trunk')).subject).toBe('other');
    },
  );

  it('fetches refs beside branches, and says when the remote has one no more', async () => {
    const repository = origin();
    const url = `file://${repository.path}`;
    const sha = repository.git('rev-parse', 'HEAD~1');
    expect((await (await open({ url, refs: ['refs/pull/7/head'] })).resolve('refs/pull/7/head')).sha).toBe(
      sha,
    );
    expect((await (await open({ url, refs: [sha] })).resolve(sha)).subject).toBe('first');
    for (const gone of ['refs/pull/8/head', '1'.repeat(40)]) {
      expect(await failureOf(open({ url, refs: [gone] }))).toMatch(
        /^GIT_REVISION_NOT_FOUND.*force-pushed or deleted/,
      );
    }
    expect(await failureOf(open({ url, refs: ['main:refs/heads/x'] }))).toMatch(/^GIT_REVISION_INVALID/);
  });

  it('opens the mirror as the last fetch left it, without the remote', async () => {
    const repository = origin();
    const url = `file://${repository.path}`;
    expect(await failureOf(open({ url, fetch: false }))).toMatch(/^GIT_EMPTY_REPOSITORY.*fetch it first/);
    expect(readdirSync(folder())).toEqual(['origin']);
    await open({ url });
    const seen = repository.git('rev-parse', 'trunk');
    const later = repository.commit('later', { a: '3' });
    rmSync(repository.path, { recursive: true });
    const mirror = await open({ url, fetch: false });
    expect((await mirror.resolve('trunk')).sha).toBe(seen);
    expect(await mirror.defaultBranch()).toBe('trunk');
    expect(await failureOf(mirror.resolve(later))).toMatch(/^GIT_REVISION_NOT_FOUND/);
  });

  it('opens a remote without commits, and sees its first one', async () => {
    const repository = initTestRepository(join(folder(), 'origin'), '--object-format=sha1');
    const url = `file://${repository.path}`;
    const mirror = await open({ url });
    expect(await failureOf(mirror.resolve('HEAD'))).toMatch(/^GIT_EMPTY_REPOSITORY/);
    repository.commit('first', { a: '1' });
    expect((await (await open({ url })).resolve('HEAD')).subject).toBe('first');
  });

  it('refuses what is no URL, or would start a program', async () => {
    const marker = join(folder(), 'started');
    for (const url of [
      '',
      '-u',
      `--upload-pack=touch ${marker}`,
      `ext::sh -c touch% ${marker}`,
      `fd::7`,
      '/etc',
      'main',
      'https:/x',
      'file://',
      'http://a b/',
      'http://[/x',
      'https://host/\n',
      'unknown://host/x',
    ]) {
      expect(`${url}: ${await failureOf(open({ url }))}`).toContain(': GIT_URL_INVALID');
    }
    expect(existsSync(marker)).toBe(false);
  });

  it('says that a remote is missing or does not answer, without the password of its URL', async () => {
    expect(await failureOf(open({ url: `file://${folder()}/nothing` }))).toMatch(/^GIT_FETCH_FAILED/);
    const refused = await failureOf(open({ url: 'http://somebody:hunter2@127.0.0.1:1/x/y.git' }));
    expect(refused).toMatch(/^GIT_FETCH_FAILED.*check the URL and the network/);
    expect(refused).not.toContain('hunter2');
    expect(readdirSync(folder())).toEqual([]);
  });

  it('fails at once where a password is asked for, and hands a token over', async () => {
    const seen: (string | undefined)[] = [];
    await serve(
      (request, response) => {
        seen.push(request.headers.authorization);
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end();
      },
      async (url) => {
        expect(await failureOf(open({ url }))).toMatch(
          /^GIT_AUTHENTICATION_FAILED.*asks for a user name and password/,
        );
        const withToken = await failureOf(open({ url, authorization: 'Bearer hunter2' }));
        expect(withToken).toMatch(/^GIT_AUTHENTICATION_FAILED/);
        expect(withToken).not.toContain('hunter2');
        expect(seen[0]).toBe(undefined);
        expect(seen.at(-1)).toBe('Bearer hunter2');
      },
    );
  });

  it('follows no redirect: git would take the token along', async () => {
    const seen: (string | undefined)[] = [];
    const elsewhere: RequestListener = (request, response) => {
      seen.push(request.headers.authorization);
      response.setHeader('Content-Type', 'application/x-git-upload-pack-advertisement');
      response.end('001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n000afetch\n0000');
    };
    await serve(elsewhere, async (target) => {
      const Location = `${target}/info/refs?service=git-upload-pack`;
      await serve(
        (_, response) => response.writeHead(302, { Location }).end(),
        async (url) => {
          const answer = await failureOf(open({ url, authorization: 'Bearer hunter2' }));
          expect(answer).toMatch(/^GIT_FETCH_FAILED.*Use its new URL/);
        },
      );
    });
    expect(seen).toEqual([]);
  });

  // The bound is below the 30 s after which git itself gives a silent remote up.
  it('ends a remote that never answers, by its bound and by the signal', { timeout: 20_000 }, async () => {
    await serve(
      () => {},
      async (url) => {
        expect(await failureOf(open({ url }, 300))).toMatch(/^GIT_TIMEOUT/);
        const abort = new AbortController();
        const opening = createGitCli({ env: process.env }).openMirror(
          { kind: 'url', url },
          join(folder(), 'mirror'),
          abort.signal,
        );
        setTimeout(() => abort.abort(new Error('no longer wanted')), 200);
        await expect(opening).rejects.toThrow('no longer wanted');
        expect(readdirSync(folder())).toEqual([]);
        const left = readdirSync('/proc').filter((pid) => {
          try {
            return readFileSync(join('/proc', pid, 'environ'), 'utf8').includes(url);
          } catch {
            return false;
          }
        });
        expect(left).toEqual([]);
      },
    );
  });
});
