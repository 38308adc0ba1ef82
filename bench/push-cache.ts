// The binary cache of pushes.ts as a process: killed, started again with what it had, and asked what it has taken.
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Child, readLines, startChild } from '@eka-ci/process';

const startCache = async (folder: string, port: number): Promise<{ child: Child; port: number }> => {
  const script = fileURLToPath(new URL('cache-server.ts', import.meta.url));
  const args = [script, folder, String(port)];
  const child = await startChild({
    command: process.execPath,
    args,
    env: { PATH: process.env['PATH'] ?? '' },
  });
  child.stderr.pipe(process.stderr, { end: false });
  let first = '';
  for await (const line of readLines(child.stdout)) {
    first = line;
    if (first !== '') break;
  }
  if (first === '') throw new Error('the cache of the benchmark did not start');
  return { child, port: Number(first) };
};

/** A cache that can be killed and is then there again, with what it had. */
export const openCache = async (folder: string) => {
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, 'ledger'), '');
  let running = await startCache(folder, 0);
  const { port } = running;
  const stop = async (): Promise<void> => {
    running.child.end('SIGKILL');
    await running.child.exited;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    async restart(awayMs: number) {
      await stop();
      await sleep(awayMs);
      running = await startCache(folder, port);
    },
    /** Of each path how often its description was taken. */
    taken: (): Map<string, number> => {
      const counts = new Map<string, number>();
      const lines = readFileSync(join(folder, 'ledger'), 'utf8').split('\n');
      for (const line of lines) if (line.endsWith('.narinfo')) counts.set(line, (counts.get(line) ?? 0) + 1);
      return counts;
    },
    stop,
  };
};

export type BenchCache = Awaited<ReturnType<typeof openCache>>;
