import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const units = join(root, 'packaging/systemd');
const names = readdirSync(units);
const textOf = (name: string): string => readFileSync(join(units, name), 'utf8');

const settingOf = (name: string, key: string): string =>
  new RegExp(`^${key}=(.*)$`, 'm').exec(textOf(name))?.[1] ?? '';

const [socket, run, server] = ['eka-ci-sandbox.socket', 'eka-ci-sandbox@.service', 'eka-ci.service'];

it('the units are those that the page on checks names', () => {
  const page = readFileSync(join(root, 'docs/checks.md'), 'utf8');
  const linked = [...page.matchAll(/\.\.\/packaging\/systemd\/([^)]+)\)/g)].map(([, name = '']) => name);
  expect(linked.toSorted()).toEqual(names.toSorted());
});

it('the server looks for the sandbox where its socket unit listens, and may connect', () => {
  const looked = readFileSync(join(root, 'packages/server/src/sandbox/sandbox-socket.ts'), 'utf8');
  expect(looked).toContain(`'${settingOf(socket, 'ListenStream')}'`);
  const group = settingOf(socket, 'SocketGroup');
  expect(settingOf(server, 'SupplementaryGroups')).toBe(group);
  expect(settingOf(run, 'User')).toBe(group);
  expect(textOf('eka-ci.sysusers')).toContain(`u ${group} `);
});

it('the server may take as long to end as it does', () => {
  const serve = readFileSync(join(root, 'packages/server/src/commands/serve.ts'), 'utf8');
  const endTimeoutMs = Number(/endTimeoutMs = ([\d_]+)/.exec(serve)?.[1]?.replaceAll('_', ''));
  expect(Number(settingOf(server, 'TimeoutStopSec')) * 1000).toBeGreaterThan(endTimeoutMs);
});

it('the units leave the loopback of a sandbox alone, and let the runner make control groups', () => {
  expect(settingOf(run, 'IPAddressDeny')).not.toMatch(/localhost|127\.|any/);
  expect(settingOf(run, 'Delegate')).toBe('memory pids cpu');
  expect(settingOf(run, 'OOMPolicy')).toBe('continue');
  expect(settingOf(run, 'ProtectControlGroups')).toBe('false');
});

const numberIn = (file: string, pattern: RegExp): number =>
  Number(
    pattern.exec(readFileSync(join(root, 'packages/server/src', file), 'utf8'))?.[1]?.replaceAll('_', ''),
  );

it('a unit may run longer than any check and any evaluation may that has the usual time', () => {
  const schema = 'config/server-config-schema.ts';
  const longestCheck = numberIn(
    schema,
    /max_timeout_seconds: wholeNumber\(1, [\d_]+\)\s*\.default\(([\d_]+)\)/,
  );
  const evaluation = numberIn(schema, /timeout_seconds: wholeNumber\(1, 604_800\)\.default\(([\d_]+)\)/);
  const hours = Number(/^(\d+)h$/.exec(settingOf(run, 'RuntimeMaxSec'))?.[1]);
  expect(Math.max(longestCheck, evaluation) + 30 * 60).toBeLessThanOrEqual(hours * 3600);
});

it('what is in a unit of the sandbox cannot ask for another one', () => {
  expect(textOf(run)).toContain(`\nInaccessiblePaths=-${settingOf(socket, 'ListenStream')}\n`);
});

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

it.skipIf(!hasAnalyze)('systemd finds nothing to say about them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-units-'));
  try {
    const files = names.filter((name) => !name.endsWith('.sysusers'));
    for (const name of files) {
      // The program is not installed where this is tested.
      writeFileSync(join(folder, name), textOf(name).replaceAll('/usr/bin/eka-ci-server', '/bin/true'));
    }
    const paths = files.map((name) => join(folder, name));
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], {
      encoding: 'utf8',
    });
    const said = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('eka-ci'));
    expect({ said, status }).toEqual({ said: [], status: 0 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
