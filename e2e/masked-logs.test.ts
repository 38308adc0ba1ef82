// A secret of the server's configuration that a build happens to print, and the log of that build once it is over.
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until, webhookSecret } from './testing/server.ts';

let world: World;
let server: TestServer;

const packageSet = `
{
  leaky = derivation {
    name = "leaky-1.0";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''
      printf 'it is ${webhookSecret.slice(0, 9)}'; printf '${webhookSecret.slice(9)}!\n'
      i=0; while [ $i -lt 400 ]; do i=$((i + 1)); echo "line $i of many"; done
      echo ${webhookSecret} >&2; exit 1
    '' ];
  } // { pname = "leaky"; version = import ./version.nix; };
}
`;

beforeAll(async () => {
  world = await createWorld();
  const repository = await createRepository(join(world.folder, 'leaky'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': '{ }\n',
    'version.nix': '"1.0"\n',
  });
  server = await startServer(world, await configureServer(world, repository.path));
  await repository.branch('leaky', { 'default.nix': packageSet });
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

it('is in no log, on disk or over HTTP, in no summary and in nothing that the server says', {
  timeout: 60_000,
}, async () => {
  const change = await until(async () => {
    const [found] = await server.changes();
    return found?.state === 'judged' ? await server.change(found.number) : null;
  });
  const logsDir = join(world.folder, 'state', 'logs');
  const file = await until(async () => {
    const files = await readdir(logsDir, { recursive: true }).catch(() => []);
    return files.find((name) => name.endsWith('.log.zst')) ?? null;
  });
  const stored = zstdDecompressSync(await readFile(join(logsDir, file))).toString('utf8');
  expect(stored).toMatch(/^it is \[redacted\]!\nline 1 of many\n/);
  expect(stored).toMatch(/line 400 of many\n\[redacted\]\n/);
  const answers = [stored, JSON.stringify(change), server.log()];
  const failing = /[0-9a-z]{32}-leaky-1\.0\.drv/.exec(JSON.stringify(change))?.[0] ?? '';
  for (const path of [`/v1/logs/${failing}`, `/v1/logs/${failing}?format=html`, `/v1/drvs/${failing}`]) {
    answers.push(await (await fetch(`${server.address}${path}`)).text());
  }
  expect(basename(failing)).toBe(failing);
  expect(answers[3]).toBe(stored);
  expect(answers.filter((answer) => answer.includes(webhookSecret))).toEqual([]);
  const tail = await fetch(`${server.address}/v1/logs/${failing}`, { headers: { range: 'bytes=-11' } });
  expect([tail.status, (await tail.text()).length]).toEqual([206, 11]);
});
