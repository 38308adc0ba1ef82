// `npm run dev`: the demo's repository under a server that starts anew when its sources are saved, by itself or on a
// GitHub that is none; or, with --check, types and the tests that a change concerns, again at each change. Until Ctrl-C.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { endAllChildren, startChild } from '@eka-ci/process';
import { createWorkFolder } from '@eka-ci/server/lib/work-folder';
import { runDevServer } from './dev/dev-server.ts';
import { type OpenDevSite, openGithubSite, openGitSite } from './dev/dev-site.ts';
import { programEnv, repositoryRoot } from './program.ts';

const help = `npm run dev [-- --github | --check]

Serves the demo's repository, and starts the server anew when a source in packages/*/src or tools/demo is saved. What
was judged and built stays. Nothing is left behind.

  --github  the repository is on a GitHub that is none: a page in your browser, where pull requests are opened, checks
            appear, and what you say is answered. Nobody is asked but this machine
  --check   no server: checks types and runs the tests that a change concerns, again at each change
  --help    this text
`;

const watchers: readonly (readonly [string, ...string[]])[] = [
  ['tsc', '-b', '--watch', '--preserveWatchOutput'],
  ['vitest', 'watch', '--changed'],
];

const startWatcher = async (
  [command, ...args]: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<void> => {
  const env = { ...programEnv(repositoryRoot), FORCE_COLOR: process.stdout.isTTY ? '1' : '0' };
  const child = await startChild({ command, args, cwd: repositoryRoot, env, keepStdinOpen: true, signal });
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stderr, { end: false });
  await child.exited;
  await endAllChildren(); // One watcher alone would look like all is well.
};

const sourceFolders = async (): Promise<string[]> => {
  const packages = await readdir(join(repositoryRoot, 'packages'));
  return [
    ...packages.map((name) => join(repositoryRoot, 'packages', name, 'src')),
    join(repositoryRoot, 'tools/demo'),
  ];
};

const serve = async (openSite: OpenDevSite, signal: AbortSignal): Promise<void> => {
  const folder = await createWorkFolder('ekaci-dev-');
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    await runDevServer({ folder: folder.path, sources: await sourceFolders(), openSite, say, signal });
  } finally {
    await folder.remove();
  }
};

const args = process.argv.slice(2);
const unknown = args.find((arg) => !['--github', '--check', '--help'].includes(arg));
if (unknown !== undefined) {
  process.stderr.write(`npm run dev: unknown argument ${unknown}\n\n${help}`);
  process.exitCode = 2;
} else if (args.includes('--help')) {
  process.stdout.write(help);
} else {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => ending.abort());
  if (args.includes('--check')) await Promise.all(watchers.map((one) => startWatcher(one, ending.signal)));
  else await serve(args.includes('--github') ? openGithubSite : openGitSite, ending.signal);
}
