// Starts a verb of package.json: `node tools/run.mjs VERB [ARGUMENT...]`. Sets up whatever the verb needs first.
// Plain JavaScript, because it must run on the older Node that a machine may have.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from './setup/commands.mjs';
import { setUp } from './setup/set-up.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const building = ['git', 'nix-instantiate', 'nix-store', 'bwrap'];
const verbs = {
  demo: { script: 'tools/demo.ts', programs: building },
  test: { script: 'tools/test.ts', programs: [...building, 'xz'], optional: ['nginx', 'sshd'] },
  dev: { script: 'tools/dev.ts', programs: [...building, 'xz'] },
  check: { script: 'tools/check.ts', programs: ['git'] },
  fix: { script: 'tools/fix.ts', programs: [] },
  docs: { script: 'tools/docs.ts', programs: [] },
  bench: { script: 'bench/main.ts', programs: [...building, 'xz'] },
  // Not about this clone: paths are relative to where it was called. Only a review works here; all else asks a server.
  ekaci: {
    script: 'packages/cli/src/ekaci.mjs',
    programs: ([command]) => (command === 'review' ? building : []),
    cwd: process.env.INIT_CWD,
  },
};

/** Runs the verb's script in the foreground and resolves with its exit status, 128 + N where signal N ended it. */
const runScript = (node, args, { env, cwd = root }) =>
  new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd, env, stdio: 'inherit' });
    const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
      // A terminal sends Ctrl-C to the whole foreground group: passing it on would deliver it twice.
      const handler = () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal));
      process.on(signal, handler);
      return [signal, handler];
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      for (const [name, handler] of handlers) process.off(name, handler);
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });

const main = async ([name, ...args]) => {
  const verb = Object.hasOwn(verbs, name ?? '') ? verbs[name] : undefined;
  if (verb === undefined) throw new SetupError(`usage: node tools/run.mjs ${Object.keys(verbs).join('|')}`);
  if (!existsSync(join(root, verb.script)))
    throw new SetupError(`${name}: ${verb.script} does not exist yet`);
  const programs = typeof verb.programs === 'function' ? verb.programs(args) : verb.programs;
  const { node, env } = await setUp({ root, programs, optional: verb.optional, env: process.env });
  return runScript(node, [join(root, verb.script), ...args], { env, cwd: verb.cwd });
};

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
