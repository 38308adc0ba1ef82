// A start that hangs: whoever ends it does not wait for it.
import { access, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { startChild } from '@eka-ci/process';
import { expect, it, onTestFinished } from 'vitest';
import { createWorld } from './testing/ekaci.ts';
import { configureServer, serverProcess, until } from './testing/server.ts';

it('is ended by SIGTERM while Nix does not answer', { timeout: 60_000 }, async () => {
  const world = await createWorld();
  onTestFinished(() => world.remove());
  const silent = join(world.folder, 'silent');
  await mkdir(silent);
  const asked = join(world.folder, 'asked');
  for (const name of ['nix', 'nix-store', 'nix-instantiate', 'nix-daemon']) {
    await writeFile(join(silent, name), `#!/bin/sh\n: > ${asked}\nexec /bin/sleep 600\n`, { mode: 0o755 });
  }
  const configFile = await configureServer(world, join(world.folder, 'no-repository'));
  const env = { ...world.env, PATH: [silent, world.env['PATH'] ?? ''].join(delimiter) };
  const child = await startChild(serverProcess({ ...world, env }, configFile));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(() =>
    access(asked).then(
      () => true,
      () => null,
    ),
  );
  process.kill(child.pid, 'SIGTERM');
  expect(await child.exited).toMatchObject({ code: 1, signal: null });
  expect(said).toContain('ended while it was still starting');
});
