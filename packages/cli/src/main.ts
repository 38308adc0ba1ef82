// The process `ekaci`: argv in, exit status out. Each command has a file of its own in commands/.
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

await program.parseAsync();
