// `ekaci job`: has a running server judge one Nix file of a repository on its machine.
import type { Command } from 'commander';
import { locateFile } from '../local-file.ts';
import { printable } from '../progress/progress-view.ts';
import { judgeOnServer, type SubmitOptions, submitCommand } from '../review/submit-command.ts';

interface JobOptions extends SubmitOptions {
  readonly sandbox: boolean;
}

const job = async (path: string, options: JobOptions, command: Command): Promise<void> => {
  const located = await locateFile(path);
  if (located.kind === 'refused') {
    return command.error(`error: ${printable(located.message)}`, { exitCode: 2 });
  }
  const { base, build, sandbox } = options;
  await judgeOnServer(
    'ekaci job',
    {
      source: { kind: 'local', path: located.root },
      base: base === undefined ? { kind: 'nothing' } : { kind: 'revision', revision: base },
      head: 'HEAD',
      merge: base !== undefined,
      jobs: [],
      file: located.file,
      build,
      sandbox: sandbox ? 'required' : 'preferred',
    },
    options,
  );
};

export const jobCommand = (): Command =>
  submitCommand('job', {
    summary: 'have the server judge one Nix file as it is committed, whatever the configuration says',
    examples: [
      'ekaci job default.nix',
      'ekaci job pkgs/tools/release.nix --base main',
      'ekaci job . --detach',
    ],
    defaultBase: 'nothing, so that everything is built',
  })
    .argument('<file>', 'a Nix file of a repository, or a folder with a default.nix')
    .option('--no-sandbox', 'evaluate also where bubblewrap cannot confine it: the code can read files')
    .action(job);
