// The command line itself: every command there is, with what they share. main.ts runs it; others read it.
import { Command } from 'commander';
import { adminCommand } from './commands/admin.ts';
import { backupCommand } from './commands/backup.ts';
import { buildCommand } from './commands/build.ts';
import { approveCommand, cancelCommand, rejudgeCommand } from './commands/change-actions.ts';
import { changesCommand } from './commands/changes.ts';
import { completionsCommand } from './commands/completions.ts';
import { drainCommand } from './commands/drain.ts';
import { drvCommand } from './commands/drv.ts';
import { gitCommand } from './commands/git.ts';
import { infoCommand } from './commands/info.ts';
import { jobCommand } from './commands/job.ts';
import { logsCommand } from './commands/logs.ts';
import { queueCommand } from './commands/queue.ts';
import { rebuildCommand } from './commands/rebuild.ts';
import { repoCommand } from './commands/repo.ts';
import { reviewCommand } from './commands/review.ts';
import { statusCommand } from './commands/status.ts';
import { summaryCommand } from './commands/summary.ts';
import { watchCommand } from './commands/watch.ts';
import { version } from './version.ts';

const inheritSettings = (command: Command, parent: Command): void => {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(child, command);
};

/** By the headings of the overview. */
const groupsOf = (): readonly (readonly [heading: string, commands: readonly Command[]])[] => [
  ['Judge a change here:', [reviewCommand()]],
  ['Have a running server judge:', [repoCommand(), gitCommand(), jobCommand()]],
  [
    'Ask a running server:',
    [
      changesCommand(),
      drvCommand(),
      infoCommand(),
      logsCommand(),
      queueCommand(),
      statusCommand(),
      summaryCommand(),
      watchCommand(),
    ],
  ],
  [
    'Operate a running server:',
    [
      adminCommand(),
      approveCommand(),
      backupCommand(),
      buildCommand(),
      cancelCommand(),
      drainCommand(),
      rebuildCommand(),
      rejudgeCommand(),
    ],
  ],
  ['Other:', [completionsCommand()]],
];

const examples = `
Examples:
  ekaci review --base main --head my-branch
  ekaci changes
  ekaci summary me/packages 12

"ekaci COMMAND --help" tells a command's options, examples and exit statuses. Every command that asks a server takes
--json. The server is found at --socket PATH, $EKA_CI_SOCKET or the usual places, or at --server URL.
`;

/** Not run yet. Wrong usage ends the process with status 2: "could not judge", never "newly failing". */
export const createProgram = (): Command => {
  const program = new Command('ekaci')
    .description('Judges changes of Nix package sets: what they add, bump, rebuild and break.')
    .version(version)
    .showHelpAfterError('(run with --help for examples)')
    .configureHelp({ sortSubcommands: true })
    .addHelpCommand(
      new Command('help').argument('[command]').description('the same as --help').helpGroup('Other:'),
    )
    .addHelpText('after', examples)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const [heading, commands] of groupsOf()) {
    for (const command of commands) {
      inheritSettings(command, program);
      program.addCommand(command.helpGroup(heading));
    }
  }
  return program;
};
