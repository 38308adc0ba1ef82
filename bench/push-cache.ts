// The binary cache of pushes.ts: an nginx that is killed, started again with what it had, and asked what it has taken.
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNginx } from '@eka-ci/server/cache/testing/nginx';

const isTaken = /^PUT \/(?<name>[^ /]+\.narinfo) 20[014]$/;

/** A cache that can be killed and is then there again, with what it had. */
export const openCache = async (folder: string) => {
  let running = await startNginx(folder, {});
  const { url, root, requests } = running;
  const port = Number(new URL(url).port);
  const readTaken = (): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const line of readFileSync(requests, 'utf8').split('\n')) {
      const name = isTaken.exec(line)?.groups?.['name'];
      if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  };
  /** What it took, and was killed before it could write that down. */
  const catchUp = (): void => {
    const taken = readTaken();
    const names = readdirSync(root).filter((name) => name.endsWith('.narinfo') && !taken.has(name));
    for (const name of names) appendFileSync(requests, `\nPUT /${name} 201\n`);
  };
  return {
    url: url.replace(/\/$/, ''),
    async restart(awayMs: number) {
      await running.kill();
      catchUp();
      await sleep(awayMs);
      running = await startNginx(folder, { port });
    },
    /** Of each path how often its description was taken. */
    taken: readTaken,
    stop: () => running.kill(),
  };
};

export type BenchCache = Awaited<ReturnType<typeof openCache>>;
