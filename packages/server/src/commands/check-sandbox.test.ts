// The sandbox in a unit of its own, as `--check-config` shows it: with a runner that says of itself what the test says.
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sourcesOf } from '../config/testing/config-sources.ts';
import { type Frame, protocolVersion, readFrames, writeFrame } from '../sandbox/runner-protocol.ts';
import { type CheckReport, checkConfig } from './check-config.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-unit-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const answerTo = ({ body }: Frame, bounds: readonly string[], version: number): unknown => {
  return body.includes('"kind":"evaluate"')
    ? { version, bounds, end: { kind: 'refused', why: 'it only says so' } }
    : { version, bounds, result: { kind: 'ended', status: 0, durationMs: 1 } };
};

/** Answers everything at once, and runs nothing. */
const serveAnswers = async (bounds: readonly string[], version: number = protocolVersion) => {
  const socketPath = join(folder, 'socket');
  const onConnection = async (socket: Socket): Promise<void> => {
    socket.on('error', () => {});
    for await (const frame of readFrames(socket)) {
      if (frame.kind === 'request')
        await writeFrame(socket, 'answer', JSON.stringify(answerTo(frame, bounds, version)));
    }
    socket.end();
  };
  const server = createServer({ allowHalfOpen: true }, (socket) => void onConnection(socket).catch(() => {}));
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    socketPath,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
};

const toml = '[evaluation]\nworkers = 1\nmax_memory_mib = 3000\n[sandbox]\nmax_memory_mib = 2000\n';

const check = (env: Readonly<Record<string, string>>): Promise<CheckReport> => {
  const { flags, ...surroundings } = sourcesOf({ toml, env });
  return checkConfig({ kind: 'check-config', flags, extent: 'no-credentials' }, surroundings);
};

const boundOf = (mib: number): string[] => [
  'system calls by a filter',
  `${mib} MiB of memory and 600 processes and threads for all of the unit by its control group`,
];

it('names the unit that may have less memory than the configuration gives away, and who may connect', async () => {
  const { socketPath, close } = await serveAnswers(boundOf(2200));
  chmodSync(folder, 0o755);
  chmodSync(socketPath, 0o666);
  try {
    const report = await check({ PATH: '/nowhere', EKA_CI_SANDBOX_SOCKET: socketPath });
    expect(report.status).toBe(0);
    expect(report.found).toMatch(/^The sandbox of checks works:\n {2}system calls by a filter\n/m);
    expect(report.found).toMatch(
      new RegExp(
        `^The sandbox at ${socketPath} was asked as \\w+; everybody may connect \\(0666\\)\\.$`,
        'm',
      ),
    );
    // What evaluates it is not known without Nix.
    expect(report.complaints.split('\n')).toEqual([
      expect.stringMatching(
        /^warning: sandbox\.max_memory_mib \(2000\) .* 2300 MiB, .* 2200 .*MemoryMax=2300M/,
      ),
      '',
    ]);
    chmodSync(socketPath, 0o600);
    const { complaints } = await check({ PATH: '/nowhere', EKA_CI_SANDBOX_SOCKET: socketPath });
    if (process.getuid?.() === 0)
      expect(complaints).toContain(`only root may connect to the sandbox at ${socketPath}`);
  } finally {
    await close();
  }
});

it('says nothing of memory where there is enough, or nobody knows', async () => {
  for (const bounds of [boundOf(2300), []]) {
    const { socketPath, close } = await serveAnswers(bounds);
    chmodSync(folder, 0o755);
    chmodSync(socketPath, 0o666);
    try {
      const report = await check({ PATH: '/nowhere', EKA_CI_SANDBOX_SOCKET: socketPath });
      expect(report.status).toBe(0);
      expect(report.complaints).not.toContain('MiB');
    } finally {
      await close();
    }
  }
});

it('compares what an evaluation may have, where the unit evaluates', async () => {
  const store: PrivateStore = await createPrivateStore({ daemon: true });
  const { socketPath, close } = await serveAnswers(boundOf(2500));
  try {
    const env = { PATH: process.env['PATH'] ?? '', ...store.nix.env, EKA_CI_SANDBOX_SOCKET: socketPath };
    const { found, complaints } = await check(env);
    expect(found).toContain(`The sandbox at ${socketPath} does not evaluate, and so nothing is: `);
    expect(complaints).toMatch(/^warning: evaluation\.workers \(1\) .* 3300 MiB, .*MemoryMax=3300M/m);
    expect(complaints).not.toContain('sandbox.max_memory_mib');
  } finally {
    await close();
    await store.remove();
  }
});

it('says of a runner of another version that it is, and what to do', async () => {
  const store: PrivateStore = await createPrivateStore({ daemon: true });
  try {
    for (const [version, which] of [
      [protocolVersion - 1, 'older'],
      [protocolVersion + 1, 'newer'],
    ] as const) {
      const { socketPath, close } = await serveAnswers([], version);
      const env = { PATH: process.env['PATH'] ?? '', ...store.nix.env, EKA_CI_SANDBOX_SOCKET: socketPath };
      const { found } = await check(env);
      const why = `the runner is ${which} \\(protocol ${version} and not ${protocolVersion}\\): install the same version of EkaCI for both and restart the server`;
      expect(found).toMatch(new RegExp(`^Checks of repositories are refused: .*${why}$`, 'm'));
      expect(found).toMatch(new RegExp(`^The sandbox at ${socketPath} does not evaluate, .*${why}$`, 'm'));
      await close();
    }
  } finally {
    await store.remove();
  }
});
