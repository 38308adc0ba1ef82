// The process `ekaci`: argv in, exit status out. Each command has a file of its own in commands/.
import { writeSync } from 'node:fs';
import { Command } from 'commander';
import { changesCommand } from './commands/changes.ts';
import { drvCommand } from './commands/drv.ts';
import { infoCommand } from './commands/info.ts';
import { logsCommand } from './commands/logs.ts';
import { queueCommand } from './commands/queue.ts';
import { reviewCommand } from './commands/review.ts';
import { statusCommand } from './commands/status.ts';
import { summaryCommand } from './commands/summary.ts';
import { version } from './version.ts';

const program = new Command('ekaci')
  .description('Judges changes of Nix package sets: what they add, bump, rebuild and break.')
  .version(version)
  .showHelpAfterError('(run with --help for examples)')
  .configureHelp({ sortSubcommands: true })
  .exitOverride((error) => {
    // Wrong usage is "could not judge", never "newly failing".
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

const inheritSettings = (command: Command, parent: Command): void => {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(child, command);
};

const commands = [
  reviewCommand(),
  infoCommand(),
  statusCommand(),
  changesCommand(),
  summaryCommand(),
  logsCommand(),
  drvCommand(),
  queueCommand(),
];
for (const command of commands) {
  inheritSettings(command, program);
  program.addCommand(command);
}

/** A reader that is gone or a full disk must never look like "newly failing". */
const endWithoutVerdict = (error: unknown): never => {
  const message = error instanceof Error ? error.message : String(error);
  try {
    writeSync(2, `ekaci: ${message}\n`);
  } catch {
    // There is nobody to tell.
  }
  process.exit(2);
};
process.stdout.on('error', endWithoutVerdict);
process.stderr.on('error', endWithoutVerdict);

try {
  await program.parseAsync();
} catch (error) {
  endWithoutVerdict(error);
}
