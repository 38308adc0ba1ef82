// A child whose owner was killed, and that therefore nobody ends.
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { endAllChildren, findProgram, readLines, runChild, startChild } from './process.ts';

const hasSetpriv = findProgram('setpriv') !== null;
const env = { PATH: process.env['PATH'] ?? '' };

/** Starts a shell as its own child, prints what that prints, and stays. */
const owner = (onOwnerDeath: string, script: string) => ({
  command: process.execPath,
  args: [
    ...['--input-type=module', '--eval'],
    `import { startChild } from ${JSON.stringify(new URL('process.ts', import.meta.url).href)};
    const options = { command: 'sh', args: ['-c', ${JSON.stringify(script)}], env: { PATH: process.env.PATH } };
    const child = await startChild({ ...options, ${onOwnerDeath} });
    child.stdout.pipe(process.stdout);
    setInterval(() => {}, 60_000);`,
  ],
  env,
});

const isAlive = (pid: number): boolean => {
  try {
    // A zombie has ended: nobody may have reaped an orphan yet.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

afterEach(() => endAllChildren('SIGKILL'));

describe.skipIf(!hasSetpriv)('a child with a signal for the death of its owner', () => {
  it('gets it when the owner is killed, and ends itself and what it started', async () => {
    // The second is a program by then: what a shell has only just forked would take the signal as the shell does.
    const script = `trap 'kill $!; exit' TERM; sh -c 'echo $$; exec sleep 600' & echo $$; wait`;
    const started = await startChild(owner(`onOwnerDeath: 'SIGTERM'`, script));
    const lines = readLines(started.stdout);
    const pids = [Number((await lines.next()).value), Number((await lines.next()).value)];
    expect(pids.map(isAlive)).toEqual([true, true]);
    started.end('SIGKILL');
    await expect.poll(() => pids.some(isAlive)).toBe(false);
  });

  it('is the program itself: its id, its status, its streams', async () => {
    const run = await runChild({
      command: 'sh',
      args: ['-c', 'echo "$0 $1" $PATH >&2; cat; exit 3', '--', '--version'],
      env,
      stdin: 'given',
      onOwnerDeath: 'SIGTERM',
    });
    expect(run).toMatchObject({ code: 3, stdout: 'given', stderr: `-- --version ${env.PATH}\n` });
  });

  it('is said to be missing like any other', async () => {
    const missing = runChild({ command: 'no-such-program-here', args: [], env, onOwnerDeath: 'SIGTERM' });
    await expect(missing).rejects.toMatchObject({ code: 'PROCESS_NOT_STARTED' });
  });
});
