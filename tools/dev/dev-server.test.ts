// A developer's morning: start, save, break, mend, stop. On the real server and the demo's repository.
import { mkdir, mkdtemp, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerStatus } from '@eka-ci/protocol/operations';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { expect, it, onTestFinished } from 'vitest';
import { serverProgram } from '../demo/service.ts';
import { runDevServer } from './dev-server.ts';

it('starts the server anew at each save, waits where it cannot, and ends with nothing left', {
  timeout: 240_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-dev-test-'));
  const [work, sources] = [join(folder, 'work'), join(folder, 'src')];
  for (const each of [work, sources]) await mkdir(each);
  const program = join(sources, 'main.ts');
  const works = `await import(${JSON.stringify(serverProgram)});\n`;
  await writeFile(program, works);
  const said: string[] = [];
  const ending = new AbortController();
  const say = (line: string): void => void said.push(line);
  const running = runDevServer({ folder: work, sources: [sources], program, say, signal: ending.signal });
  onTestFinished(async () => {
    ending.abort();
    await running;
    await removeTree(folder);
  });
  const hears = async (words: RegExp, times = 1): Promise<void> => {
    await expect.poll(() => said.filter((line) => words.test(line)).length, { timeout: 60_000 }).toBe(times);
  };

  await hears(/^The server is at /);
  const address = /http:\S+\d/.exec(said[0] ?? '')?.[0] ?? '';
  const startedAtMs = async (): Promise<number> => {
    const answer = await fetch(`${address}/v1/status`);
    return ServerStatus.parse(await answer.json()).startedAtMs;
  };
  const first = await startedAtMs();

  const now = new Date();
  await utimes(program, now, now);
  await writeFile(join(sources, 'story.test.ts'), 'what no server runs');
  await hears(/^It is back /);
  expect(await startedAtMs()).toBeGreaterThan(first);
  expect(said.filter((line) => line.endsWith(' changed.'))).toHaveLength(1);

  await writeFile(program, 'this is no TypeScript');
  await hears(/^It ended \(status 1\)/);
  await expect(startedAtMs()).rejects.toThrow('fetch failed');
  for (let save = 0; save < 5; save++) await writeFile(program, works);
  await hears(/^It is back /, 2);
  expect(await startedAtMs()).toBeGreaterThan(first);

  ending.abort();
  await running;
  await expect(startedAtMs()).rejects.toThrow('fetch failed');
  expect(said.filter((line) => line.includes('http'))).toHaveLength(1);
});
