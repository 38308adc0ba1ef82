// A part of the composition root that is loaded without the rest of the server: names the drivers of the sandbox of checks.
import { createLocalSandbox } from './sandbox/local/local-sandbox.ts';
import type { Sandbox } from './sandbox/sandbox.ts';
import { sandboxSocketOf } from './sandbox/sandbox-socket.ts';
import { createSocketSandbox } from './sandbox/socket/socket-sandbox.ts';

export interface SandboxAsked {
  readonly env: NodeJS.ProcessEnv;
  /** Parent of the copies of trees, where it is ours. */
  readonly folder: string;
  readonly onBounds?: (bounds: readonly string[]) => void;
}

/** The sandbox of checks: a unit of its own where there is one, else a child of ours. */
export const openSandbox = ({ env, folder, ...deps }: SandboxAsked): Sandbox => {
  const socketPath = sandboxSocketOf(env);
  if (socketPath !== null) return createSocketSandbox({ ...deps, socketPath });
  const searchPath = env['PATH'];
  return createLocalSandbox({ ...deps, folder, ...(searchPath !== undefined && { searchPath }) });
};
