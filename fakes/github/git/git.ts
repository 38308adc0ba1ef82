// Real git on bare repositories, without a word of any configuration of this machine.
import { runChild } from '@eka-ci/process';

export interface GitRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Git {
  /** The environment that every git of this fake gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs git in a folder, whatever its status. */
  attempt(folder: string, args: readonly string[], extra?: GitExtra): Promise<GitRun>;
  /** What it printed, without the last line feed. @throws Error when the status is not 0 */
  run(folder: string, args: readonly string[], extra?: GitExtra): Promise<string>;
}

export interface GitExtra {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export const createGit = (path: string): Git => {
  const env = {
    PATH: path,
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'GitHub',
    GIT_AUTHOR_EMAIL: 'noreply@github.com',
    GIT_COMMITTER_NAME: 'GitHub',
    GIT_COMMITTER_EMAIL: 'noreply@github.com',
  };
  const attempt: Git['attempt'] = (folder, args, extra = {}) =>
    runChild({
      command: 'git',
      args: ['-C', folder, ...args],
      env: { ...env, ...extra.env },
      ...(extra.stdin === undefined ? {} : { stdin: extra.stdin }),
      onOwnerDeath: 'SIGTERM',
    });
  return {
    env,
    attempt,
    run: async (folder, args, extra) => {
      const { code, stdout, stderr } = await attempt(folder, args, extra);
      if (code !== 0) throw new Error(`git ${args.join(' ')} failed in ${folder}: ${stderr}`);
      return stdout.replace(/\n$/, '');
    },
  };
};
