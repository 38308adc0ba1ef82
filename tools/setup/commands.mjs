// Runs the set-up's own commands: quietly, with one line of progress, and with their whole text when they fail.
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What the person at the keyboard has to know or do; printed as it is, without a stack. */
export class SetupError extends Error {}

/** The full path of a program on `searchPath` (the form of `$PATH`), or null. */
export const findProgram = (name, searchPath = '') => {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return null;
};

const elapsed = (startedAt) => `${Math.round((Date.now() - startedAt) / 1000)} s`;

/** Shows that work goes on: a line that counts seconds on a terminal, one plain line elsewhere. */
const startProgress = (title) => {
  const out = process.stderr;
  const startedAt = Date.now();
  const draw = () => out.write(`\r\u001b[Ksetup: ${title} … ${elapsed(startedAt)}`);
  const timer = out.isTTY ? setInterval(draw, 1000) : undefined;
  if (out.isTTY) draw();
  else out.write(`setup: ${title} …\n`);
  return (outcome) => {
    clearInterval(timer);
    out.write(`${out.isTTY ? '\r\u001b[K' : ''}setup: ${title}: ${outcome} after ${elapsed(startedAt)}\n`);
  };
};

/**
 * Runs one command to its end with no input and gives what it printed.
 * Its own process id goes to `onStart`, so that a set-up which died can be told from one whose command still works.
 */
const runCommand = ({ command, args, cwd, env, onStart }) =>
  new Promise((resolve) => {
    // A group of its own: what the command started in turn goes with it, and nothing can ask at the terminal.
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    let failure;
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    const stop = (signal) => process.kill(-child.pid, signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    if (child.pid !== undefined) {
      for (const signal of signals) process.on(signal, stop);
      onStart?.(child.pid);
    }
    child.once('error', (error) => (failure = error));
    child.once('close', (code, signal) => {
      for (const name of signals) process.off(name, stop);
      const text = Buffer.concat(chunks).toString('utf8').trim();
      resolve({ ok: code === 0, how: failure?.message ?? signal ?? `status ${code}`, text });
    });
  });

/** Runs one command under a line of progress. @throws SetupError with the command's own text when it fails */
export const runStep = async ({ title, ...command }) => {
  const finish = startProgress(title);
  const result = await runCommand(command);
  finish(result.ok ? 'done' : 'failed');
  if (result.ok) return result.text;
  const shown = [command.command, ...command.args].join(' ');
  throw new SetupError(
    `${result.text}\nsetup: "${shown}" ended with ${result.how}; its own words are above.`,
  );
};
