import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { expect, it } from 'vitest';

const containing = (text: string): unknown => expect.stringContaining(text);
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

const run = async (args: readonly string[], env: Record<string, string> = {}) => {
  const { stdout, stderr, code } = await runChild({
    command: process.execPath,
    args: [join(import.meta.dirname, 'eka-ci-server.mjs'), ...args],
    env,
  });
  return { stdout, stderr, status: code };
};

it('the process checks a configuration, does not start with a faulty one, and knows wrong usage', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-main-'));
  try {
    const file = join(folder, 'ekaci.toml');
    await writeFile(file, '[web]\nport = 8080\n');
    const env = { HOME: folder, XDG_RUNTIME_DIR: folder, WEBHOOK_SECRET: 'canary-0123456789' };
    const checked = await run(['--check-config', '--config-file', file], env);
    expect(checked).toMatchObject({ status: 0, stderr: '' });
    expect(checked.stdout).toMatch(/^web\.port = 8080 +# .*ekaci\.toml:2$/m);
    expect(checked.stdout).not.toContain('canary');
    expect(await run(['--check-config', '--port', '99999'], env)).toMatchObject({
      status: 1,
      stderr: 'error: flag --port: web.port: must be a whole number from 0 to 65535 (it is 99999)\n',
    });
    expect(await run([], { HOME: folder, XDG_RUNTIME_DIR: folder })).toMatchObject({
      status: 1,
      stdout: '',
      stderr: containing('there is no webhook secret'),
    });
    expect(await run(['--prot'])).toMatchObject({
      status: 2,
      stderr: containing('did you mean --port?'),
    });
    expect(await run(['--help'])).toMatchObject({ status: 0, stdout: containing('Examples:') });
    expect(await run(['ephemeral', '--help'])).toMatchObject({
      status: 0,
      stdout: matching(/^eka-ci-server ephemeral\n/),
    });
    expect(await run(['ephemeral', 'x'])).toMatchObject({ status: 2, stdout: '' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
