// A real terminal by tmux: what a program draws on it, and what happens when keys are pressed.
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunResult, runChild } from '@eka-ci/process';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface Terminal {
  /** What is on the screen: a line for each row, without what is blank at its end. */
  screen(): Promise<string[]>;
  /** Names of keys as tmux has them: `q`, `Tab`, `C-c`. */
  press(...keys: readonly string[]): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  /** One of tmux's formats: `#{alternate_on}`. */
  tell(format: string): Promise<string>;
  /** Ends it with all that runs in it. Idempotent. */
  close(): Promise<void>;
}

export interface TerminalProgram extends TerminalSize {
  /** A folder of the test's own. */
  readonly folder: string;
  /** For `sh -c`; the terminal goes with it. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
}

export const hasTmux = async (): Promise<boolean> => {
  try {
    return (
      (await runChild({ command: 'tmux', args: ['-V'], env: { PATH: process.env['PATH'] ?? '' } })).code === 0
    );
  } catch {
    return false;
  }
};

export const openTerminal = async (program: TerminalProgram): Promise<Terminal> => {
  const { columns, rows, env, script } = program;
  // Of its own: it has no other sessions, and its end is nobody else's.
  const socket = join(await mkdtemp(join(program.folder, 'tmux-')), 's');
  const run = (...args: readonly string[]): Promise<RunResult> =>
    runChild({ command: 'tmux', args: ['-f', '/dev/null', '-S', socket, ...args], env });
  const tmux = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    if (code !== 0) throw new Error(`tmux ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const size = ['-x', String(columns), '-y', String(rows)];
  await tmux('-u', 'new-session', '-d', '-s', 'test', ...size, 'sh', '-c', script);
  return {
    screen: async () => (await tmux('capture-pane', '-p', '-t', 'test')).split('\n').slice(0, -1),
    press: async (...keys) => void (await tmux('send-keys', '-t', 'test', ...keys)),
    resize: async (to) =>
      void (await tmux('resize-window', '-t', 'test', '-x', String(to.columns), '-y', String(to.rows))),
    tell: async (format) => (await tmux('display-message', '-p', '-t', 'test', format)).trim(),
    close: async () => void (await run('kill-server')),
  };
};
