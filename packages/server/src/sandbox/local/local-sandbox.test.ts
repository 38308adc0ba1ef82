import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLines, startChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeSandbox, runScript, testLimits } from '../sandbox.contract.ts';
import { createLocalSandbox } from './local-sandbox.ts';

const containing = (text: string): unknown => expect.stringContaining(text);

describeSandbox('its runner a child of the server', async () => {
  const copies = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  return {
    sandbox: createLocalSandbox({ folder: copies }),
    copies,
    remove: async () => rmSync(copies, { recursive: true }),
  };
});

describe('a runner that is a child of the server', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('never runs anything where there is no bubblewrap', async () => {
    const sandbox = createLocalSandbox({ folder, searchPath: folder });
    const outcome = await runScript(sandbox, folder, 'echo ran');
    expect(outcome.result).toEqual({ kind: 'refused', why: 'bubblewrap (bwrap) is not installed' });
    expect(outcome.output).toHaveLength(0);
    expect(await sandbox.check([])).toMatchObject({ kind: 'refused' });
  });

  it('says that its runner has gone; the next one cleans up after it', async () => {
    const sandbox = createLocalSandbox({ folder });
    const tree = new URL('.', import.meta.url).pathname;
    const killRunner = (): void => {
      const [work = ''] = readdirSync(folder);
      process.kill(Number.parseInt(readFileSync(join(folder, work, 'owner.pid'), 'utf8'), 10), 'SIGKILL');
    };
    const outcome = await runScript(sandbox, tree, 'echo begun; exec sleep 1000', { onOutput: killRunner });
    expect(outcome.result).toEqual({ kind: 'refused', why: containing('went away') });
    expect(readdirSync(folder)).toHaveLength(1);
    await runScript(sandbox, tree, 'true');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('ends what it runs and cleans up when the server is killed', async () => {
    const asked = {
      tree: new URL('.', import.meta.url).pathname,
      command: ['sh', '-c', 'echo begun; sleep 1000'],
      env: { PATH: process.env['PATH'] },
      allowNetwork: false,
      storePaths: [],
      limits: testLimits,
    };
    const server = await startChild({
      command: process.execPath,
      args: [
        ...['--input-type=module', '--eval'],
        `import { createLocalSandbox } from ${JSON.stringify(new URL('local-sandbox.ts', import.meta.url).href)};
        const sandbox = createLocalSandbox({ folder: ${JSON.stringify(folder)} });
        const onOutput = (chunk) => process.stdout.write(chunk);
        await sandbox.run({ ...${JSON.stringify(asked)}, onOutput }, new AbortController().signal);`,
      ],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    server.stderr.resume();
    const first = await readLines(server.stdout).next();
    expect(first.value).toBe('begun');
    expect(readdirSync(folder)).toHaveLength(1);
    process.kill(server.pid, 'SIGKILL');
    await expect.poll(() => readdirSync(folder), { timeout: 10_000 }).toEqual([]);
  });
});
