// `npm run dev`: checks types and runs the tests that a change concerns, again at each change, until Ctrl-C.
import { endAllChildren, startChild } from '@eka-ci/process';
import { programEnv, repositoryRoot } from './program.ts';

const watchers: readonly (readonly [string, ...string[]])[] = [
  ['tsc', '-b', '--watch', '--preserveWatchOutput'],
  ['vitest', 'watch', '--changed'],
];

const startWatcher = async ([command, ...args]: readonly [string, ...string[]]): Promise<void> => {
  const env = { ...programEnv(repositoryRoot), FORCE_COLOR: process.stdout.isTTY ? '1' : '0' };
  const child = await startChild({ command, args, cwd: repositoryRoot, env, keepStdinOpen: true });
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stderr, { end: false });
  await child.exited;
  await endAllChildren(); // One watcher alone would look like all is well.
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    endAllChildren().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
await Promise.all(watchers.map(startWatcher));
