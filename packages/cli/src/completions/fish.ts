// The completion script for fish.
import type { CompletableCommand, CompletableOption } from './completion-tree.ts';
import { quoteForFish } from './shell-quote.ts';

const nameOf = ({ path }: CompletableCommand): string => path.join(' ');

const steps = (tree: readonly CompletableCommand[]): string[] =>
  tree.flatMap((command) =>
    command.subcommands.map(({ name }) => {
      const below = [...command.path, name].join(' ');
      const from = quoteForFish(`${nameOf(command)}/${name}`);
      return `      case ${from}\n        set at ${quoteForFish(below)}`;
    }),
  );

const optionWords = ({ flags, value, description }: CompletableOption): string => {
  const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const takes =
    value === null
      ? []
      : value.kind === 'choices'
        ? [`-x -a ${quoteForFish(value.choices.join(' '))}`]
        : [value.kind === 'file' ? '-r -F' : '-x'];
  return [...named, ...takes, `-d ${quoteForFish(description)}`].join(' ');
};

const linesOf = (command: CompletableCommand): string[] => {
  const here = `complete -c ekaci -n ${quoteForFish(`__ekaci_at ${quoteForFish(nameOf(command))}`)}`;
  return [
    ...command.subcommands.map(
      ({ name, description }) => `${here} -f -a ${name} -d ${quoteForFish(description)}`,
    ),
    ...(command.choices.length === 0 ? [] : [`${here} -f -a ${quoteForFish(command.choices.join(' '))}`]),
    ...command.options.map((option) => `${here} ${optionWords(option)}`),
  ];
};

/** To be sourced, or put into the folder of fish's completions. */
export const fishCompletion = (tree: readonly CompletableCommand[]): string => `# fish completion for ekaci
function __ekaci_at
  set -l at ''
  for word in (commandline -opc)[2..-1]
    switch "$at/$word"
${steps(tree).join('\n')}
    end
  end
  test "$at" = "$argv[1]"
end
${tree.flatMap(linesOf).join('\n')}
`;
