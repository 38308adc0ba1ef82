// The completion script for bash: 3.2 and later, without the bash-completion package.
import type { CompletableCommand } from './completion-tree.ts';
import { quote } from './shell-quote.ts';

const nameOf = ({ path }: CompletableCommand): string => path.join(' ');

/** Which words lead from one command to the one below it. */
const steps = (tree: readonly CompletableCommand[]): string[] =>
  tree.flatMap((command) =>
    command.subcommands.map(({ name }) => {
      const below = [...command.path, name].join(' ');
      return `      ${quote(`${nameOf(command)}/${name}`)}) at=${quote(below)} ;;`;
    }),
  );

/** What may follow an option that takes a value. */
const values = (tree: readonly CompletableCommand[]): string[] =>
  tree.flatMap((command) =>
    command.options.flatMap(({ flags, value }) => {
      if (value === null) return [];
      const patterns = flags.map((flag) => quote(`${nameOf(command)}/${flag}`)).join('|');
      switch (value.kind) {
        case 'choices':
          return [`    ${patterns}) words=${quote(value.choices.join(' '))} ;;`];
        case 'file':
          return [`    ${patterns}) COMPREPLY=($(compgen -f -- "$current")); return ;;`];
        case 'text':
          return [`    ${patterns}) return ;;`];
      }
    }),
  );

const words = (tree: readonly CompletableCommand[]): string[] =>
  tree.map((command) => {
    const flags = command.options.flatMap((option) => option.flags);
    const names = [...command.subcommands.map(({ name }) => name), ...command.choices];
    return `      ${quote(nameOf(command))}) flags=${quote(flags.join(' '))} names=${quote(names.join(' '))} ;;`;
  });

/** To be sourced. */
export const bashCompletion = (tree: readonly CompletableCommand[]): string => `# bash completion for ekaci
_ekaci() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local at='' words='' flags='' names='' index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at/\${COMP_WORDS[index]}" in
${steps(tree).join('\n')}
    esac
  done
  case "$at/$previous" in
${values(tree).join('\n')}
  esac
  if [ -z "$words" ]; then
    case "$at" in
${words(tree).join('\n')}
    esac
    case "$current" in
      -*) words="$flags" ;;
      *) words="$names" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _ekaci ekaci
`;
