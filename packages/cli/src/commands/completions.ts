// `ekaci completions`: what makes a shell complete the words of this command line.
import { Argument, Command } from 'commander';
import { bashCompletion } from '../completions/bash.ts';
import { readCompletionTree } from '../completions/completion-tree.ts';
import { fishCompletion } from '../completions/fish.ts';
import { zshCompletion } from '../completions/zsh.ts';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;
const shells = ['bash', 'zsh', 'fish'] as const satisfies readonly (keyof typeof scripts)[];

const examples = `
Examples:
  source <(ekaci completions bash)                                    in ~/.bashrc
  source <(ekaci completions zsh)                                     in ~/.zshrc, after compinit
  ekaci completions fish > ~/.config/fish/completions/ekaci.fish

Exit status:
  0    the script is printed
  2    wrong usage
`;

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));

export const completionsCommand = (): Command =>
  new Command('completions')
    .summary('print a script that makes your shell complete commands and options')
    .description('Prints a script that makes your shell complete the commands and options of ekaci.')
    .addArgument(new Argument('<shell>', 'the shell that you use').choices(shells))
    .addHelpText('after', examples)
    .action((shell: (typeof shells)[number], ...[, command]: [unknown, Command]) => {
      process.stdout.write(scripts[shell](readCompletionTree(rootOf(command))));
    });
