// A sandbox whose runner is behind a socket.
import { createRunnerClient, type RunnerClientDeps } from '../runner-client.ts';
import type { Sandbox } from '../sandbox.ts';
import { connectRunner } from './socket-connection.ts';

export interface SocketSandboxDeps extends Pick<RunnerClientDeps, 'onBounds'> {
  readonly socketPath: string;
}

export const createSocketSandbox = ({ socketPath, ...deps }: SocketSandboxDeps): Sandbox =>
  createRunnerClient({ connect: () => connectRunner(socketPath), seesFolders: false, ...deps });
