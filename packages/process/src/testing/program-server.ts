// Another's server as a process of a test, in a folder of its own: nothing of it is left, whether it gets ready or not.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../process.ts';

export interface ProgramServer {
  /** Its home. */
  readonly folder: string;
  stop(): Promise<void>;
}

export interface ProgramToServe {
  readonly command: string;
  readonly args: (folder: string) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Writes what it needs there, before it starts. */
  readonly prepare?: (folder: string) => Promise<void>;
  /** Asked again until it is true; may throw. */
  readonly isReady: () => Promise<boolean>;
}

const pauseMs = 50;
const maxTries = 400;

/** @throws StartError; Error where it ends, or is not ready after some 20 s */
export const serveProgram = async ({
  command,
  args,
  env = {},
  prepare,
  isReady,
}: ProgramToServe): Promise<ProgramServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-served-'));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    await prepare?.(folder);
    const server = await startChild({ command, args: args(folder), env: { HOME: folder, ...env } });
    server.stdout.resume();
    server.stderr.resume();
    let hasEnded = false;
    server.exited.then(() => (hasEnded = true)).catch(() => {});
    const stop = async (): Promise<void> => {
      server.end('SIGKILL');
      await server.exited;
      await removeFolder();
    };
    for (let tries = 0; tries < maxTries && !hasEnded; tries++) {
      if (await isReady().catch(() => false)) return { folder, stop };
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    await stop();
    throw new Error(`${command} ${hasEnded ? 'ended' : 'was not ready in time'}`);
  } catch (error) {
    await removeFolder();
    throw error;
  }
};
