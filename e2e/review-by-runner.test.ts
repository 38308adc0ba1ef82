// A review whose code of strangers is evaluated and run by another user, beside a store that has a daemon.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTemporaryStore } from '@eka-ci/nix/evaluator/testing/temporary-store';
import { runChild } from '@eka-ci/process';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { serveStore } from '@eka-ci/server/sandbox/testing/served-store';
import { expect, it } from 'vitest';
import { createRepository } from './testing/repository.ts';

const main = fileURLToPath(new URL('../packages/cli/src/ekaci.mjs', import.meta.url));
const compileCache = fileURLToPath(new URL('../.setup/compiled', import.meta.url));

const setOf = (text: string): string =>
  `{ changed = derivation { name = "changed"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${text} > $out" ]; }; }`;

it('goes to the runner for evaluations and for checks', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-e2e-'));
  const store = await makeTemporaryStore({ daemon: true });
  const runners = await serveStore(store.nix);
  try {
    const repository = await createRepository(join(folder, 'repository'), {
      'default.nix': setOf('one'),
      '.eka-ci/config.json': JSON.stringify({
        jobs: { packages: { file: 'default.nix' } },
        checks: { user: { command: 'test "$(cat default.nix)" != ""' } },
      }),
    });
    await repository.branch('change', { 'default.nix': setOf('two') });
    const reviewed = await runChild({
      command: process.execPath,
      args: [main, 'review', repository.path, '--head', 'change', '--json'],
      env: {
        ...{ ...store.nix.env, HOME: folder, TMPDIR: folder, NODE_COMPILE_CACHE: compileCache },
        EKA_CI_SANDBOX_SOCKET: runners.socketPath,
      },
    });
    if (reviewed.stdout === '') throw new Error(reviewed.stderr);
    const summary = ChangeSummary.parse(JSON.parse(reviewed.stdout));
    expect(summary.conclusion).toBe('success');
    expect(summary.checks).toMatchObject([{ name: 'user', outcome: 'passed' }]);
    // Both sides and the check; and what the server tried when it started, unless it was done before.
    expect(runners.started()).toBeGreaterThanOrEqual(3);
  } finally {
    await runners.close();
    await store.remove();
    await removeTree(folder);
  }
});
