// A newcomer's first minutes: a GitHub that is none, its pull request with checks, another one by a button, a merge.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { expect, it, onTestFinished } from 'vitest';
import { runDevServer } from './dev-server.ts';
import { openGithubSite } from './dev-site.ts';

it('shows checks of the pull request that is there, and of one that is opened; the queue merges', {
  timeout: 240_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-dev-test-'));
  const said: string[] = [];
  const ending = new AbortController();
  const say = (line: string): void => void said.push(line);
  const running = runDevServer({ folder, sources: [], openSite: openGithubSite, say, signal: ending.signal });
  onTestFinished(async () => {
    ending.abort();
    await running;
    await removeTree(folder);
  });
  const addressIn = async (words: RegExp): Promise<string> => {
    await expect.poll(() => said.find((line) => words.test(line)), { timeout: 60_000 }).toBeDefined();
    return words.exec(said.find((line) => words.test(line)) ?? '')?.[1] ?? '';
  };
  const repository = await addressIn(/^A GitHub that is none is at (\S+)$/);
  const first = await addressIn(/^Its pull request is at (\S+):/);
  const { origin, pathname: back } = new URL(repository);
  const pageOf = async (url: string): Promise<string> => {
    const answer = await fetch(url, { headers: { accept: 'text/html' } });
    return answer.text();
  };
  const shows = async (url: string, words: RegExp): Promise<void> => {
    await expect.poll(() => pageOf(url), { timeout: 90_000 }).toMatch(words);
  };
  const press = async (form: string, fields: Readonly<Record<string, string>>): Promise<string> => {
    const body = new URLSearchParams({ repository: back.slice(1), ...fields });
    const answer = await fetch(`${origin}/_form/${form}`, { method: 'POST', redirect: 'manual', body });
    return new URL(answer.headers.get('location') ?? '', origin).href;
  };

  await shows(first, /EkaCI<\/b>\s*<span class="good">success/);
  const second = await press('openPull', { of: 'demo/package-set:update-fetcher', title: 'Break it', back });
  await shows(second, /EkaCI: packages: fetcher<\/b>\s*<span class="bad">failure/);
  await press('enqueue', { number: '1', back });
  await shows(first, /<span class="state merged">Merged/);

  ending.abort();
  await running;
  await expect(pageOf(repository)).rejects.toThrow('fetch failed');
});
