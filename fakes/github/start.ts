// Starts a fake GitHub for a test, a demo or `npm run dev`.
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readLines, startChild } from '@eka-ci/process';
import { createControl } from './control/client.ts';
import type { Control } from './control/control.ts';

export interface FakeGitHubOptions {
  /** @default 0, any that is free */
  readonly port?: number;
  /** `/api/v3` as GitHub Enterprise Server has it. @default '' */
  readonly apiPrefix?: '' | '/api/v3';
  /** How long a webhook's receiver may take. @default 10000, as GitHub's */
  readonly webhookTimeoutMs?: number;
}

export interface FakeGitHub {
  /** What stands for https://github.com; no slash at its end. */
  readonly url: string;
  /** What stands for https://api.github.com. */
  readonly apiUrl: string;
  readonly control: Control;
  /** Ends the process and removes its repositories. */
  stop(): Promise<void>;
}

interface Ready {
  readonly url: string;
  readonly folder: string;
}

/**
 * The fake as a process of its own on a loopback port. It ends with `stop()`, and with the process that started it.
 * @throws Error when it does not come up
 */
export const startFakeGitHub = async (options: FakeGitHubOptions = {}): Promise<FakeGitHub> => {
  const compiled = process.env['NODE_COMPILE_CACHE'];
  const child = await startChild({
    command: process.execPath,
    args: [fileURLToPath(new URL('main.ts', import.meta.url))],
    env: {
      PATH: process.env['PATH'] ?? '',
      TMPDIR: process.env['TMPDIR'] ?? '/tmp',
      ...(compiled !== undefined && { NODE_COMPILE_CACHE: compiled }),
    },
    stdin: `${JSON.stringify(options)}\n`,
    keepStdinOpen: true,
    onOwnerDeath: 'SIGTERM',
  });
  const complaints: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString('utf8')));
  const first = await readLines(child.stdout).next();
  if (first.done === true) {
    await child.exited;
    throw new Error(`the fake GitHub did not start: ${complaints.join('')}`);
  }
  const { url, folder } = JSON.parse(first.value) as Ready;
  return {
    url,
    apiUrl: url + (options.apiPrefix ?? ''),
    control: createControl(url),
    stop: async () => {
      child.end();
      await child.exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
};
