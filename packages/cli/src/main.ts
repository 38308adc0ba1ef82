// The process `ekaci`: argv in, exit status out. Each command has a file of its own in commands/.
import { writeSync } from 'node:fs';
import { Command } from 'commander';
import { reviewCommand } from './commands/review.ts';

const program = new Command('ekaci')
  .description('Judges changes of Nix package sets: what they add, bump, rebuild and break.')
  .version('0.1.0')
  .showHelpAfterError('(run with --help for examples)')
  .configureHelp({ sortSubcommands: true })
  .exitOverride((error) => {
    // Wrong usage is "could not judge", never "newly failing".
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

program.addCommand(reviewCommand().copyInheritedSettings(program));

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
