// `ekaci repo`: has a running server judge a repository on its machine.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { collect } from '../arguments.ts';
import { judgeOnServer, type SubmitOptions, submitCommand } from '../review/submit-command.ts';

interface RepoOptions extends SubmitOptions {
  readonly head: string;
  readonly merge: boolean;
  readonly sandbox: boolean;
  readonly job: readonly string[];
}

const repo = (path: string, options: RepoOptions): Promise<void> =>
  judgeOnServer(
    'ekaci repo',
    {
      source: { kind: 'local', path: resolve(path) },
      base: options.base === undefined ? { kind: 'nothing' } : { kind: 'revision', revision: options.base },
      head: options.head,
      merge: options.merge && options.base !== undefined,
      jobs: [...options.job],
      file: null,
      build: options.build,
      sandbox: options.sandbox ? 'required' : 'preferred',
    },
    options,
  );

export const repoCommand = (): Command =>
  submitCommand('repo', {
    summary: 'have the server judge a repository on its machine: everything of it, or a change',
    examples: [
      'ekaci repo ~/packages',
      'ekaci repo . --base main --head my-branch',
      'ekaci repo ~/packages --job packages --detach',
    ],
    defaultBase: 'nothing, so that everything is built',
  })
    .argument('<path>', 'a folder inside the repository')
    .option('--head <rev>', 'what is judged', 'HEAD')
    .option('--no-merge', 'judge the head as it is, not its merge into the base')
    .option('--no-sandbox', 'evaluate also where bubblewrap cannot confine it: the code can read files')
    .option('--job <name>', 'only this job of .eka-ci/config.json; may be repeated', collect, [])
    .action(repo);
