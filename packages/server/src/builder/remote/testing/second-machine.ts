// Another machine for tests: a Nix daemon whose store has the name of a private store and is another one on the disk. A mount
// namespace of bubblewrap lays it over the first, so it needs no ssh, no root, and no sandbox of Nix's.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ChildCommand, childTransport } from '@eka-ci/nix/daemon/transport/child';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import type { PrivateStore } from '@eka-ci/nix/testing/private-store';
import { findProgram, runChild } from '@eka-ci/process';

export interface SecondMachine {
  readonly transport: DaemonTransport;
  /** Runs `words` there. */
  command(words: readonly string[]): ChildCommand;
  /** Of the same Nix as the first store's. */
  readonly daemonProgram: string;
  /** Where its store is on this disk. */
  readonly storeDir: string;
}

export interface SecondMachineOptions {
  /** Lines for its nix.conf. */
  readonly config?: string;
  /** Below the folder of the store. @default machine */
  readonly folderName?: string;
}

/** Why there can be no such machine here; null where there can. */
export const whyNoSecondMachine = async (): Promise<string | null> => {
  if (findProgram('bwrap') === null) return 'bubblewrap (bwrap) is not installed';
  const args = ['--dev-bind', '/', '/', 'true'];
  const tried = await runChild({ command: 'bwrap', args, env: { PATH: process.env['PATH'] ?? '' } });
  return tried.code === 0 ? null : `bubblewrap does not work here: ${tried.stderr.trim()}`;
};

/**
 * The daemon of another machine gets no signal of ours: it sees that nobody is there any more. Bubblewrap would end before it, and
 * its end would take the daemon away before that has ended its builder.
 */
export const hungUpOnly = ({ command, args, env }: ChildCommand): ChildCommand => ({
  command: 'sh',
  args: ['-c', 'trap "" TERM; exec "$@"', 'sh', command, ...args],
  env,
});

export const createSecondMachine = async (
  { nix, folder }: Pick<PrivateStore, 'nix' | 'folder'>,
  options: SecondMachineOptions = {},
): Promise<SecondMachine> => {
  const root = join(folder, options.folderName ?? 'machine');
  const env: Record<string, string> = { ...nix.env, NIX_CONF_DIR: join(root, 'conf'), NIX_REMOTE: 'local' };
  const mounts: string[] = [];
  for (const [name, place] of [
    ['store', nix.storeDir],
    ['var', nix.stateDir],
    ['log', nix.env['NIX_LOG_DIR'] ?? join(folder, 'log')],
  ] as const) {
    await mkdir(join(root, name), { recursive: true });
    await mkdir(place, { recursive: true });
    mounts.push('--bind', join(root, name), place);
  }
  await mkdir(join(root, 'conf'));
  const config = `sandbox = false\nbuild-users-group =\nsubstituters =\n${options.config ?? ''}\n`;
  await writeFile(join(root, 'conf', 'nix.conf'), config);
  const command = (words: readonly string[]): ChildCommand => ({
    command: 'bwrap',
    args: ['--dev-bind', '/', '/', ...mounts, '--', ...words],
    env,
  });
  const daemonProgram = join(dirname(nix.programs.store), 'nix-daemon');
  const made = await runChild(command([nix.programs.store, '--init']));
  if (made.code !== 0) throw new Error(made.stderr);
  const daemon = command([daemonProgram, '--stdio', '--option', 'store', 'local']);
  return {
    transport: childTransport('second machine', hungUpOnly(daemon)),
    command,
    daemonProgram,
    storeDir: join(root, 'store'),
  };
};
