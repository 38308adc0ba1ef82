// The completion script for zsh: to be sourced, or put as _ekaci into a folder of $fpath.
import type { CompletableCommand } from './completion-tree.ts';
import { quote } from './shell-quote.ts';

const nameOf = ({ path }: CompletableCommand): string => path.join(' ');

/** A colon ends the name. */
const described = (name: string, description: string): string =>
  quote(`${name.replaceAll(':', '\\:')}:${description}`);

const steps = (tree: readonly CompletableCommand[]): string[] =>
  tree.flatMap((command) =>
    command.subcommands.map(({ name }) => {
      const below = [...command.path, name].join(' ');
      return `      ${quote(`${nameOf(command)}/${name}`)}) at=${quote(below)} ;;`;
    }),
  );

const values = (tree: readonly CompletableCommand[]): string[] =>
  tree.flatMap((command) =>
    command.options.flatMap(({ flags, value }) => {
      if (value === null) return [];
      const patterns = flags.map((flag) => quote(`${nameOf(command)}/${flag}`)).join('|');
      switch (value.kind) {
        case 'choices':
          return [`    ${patterns}) compadd -- ${value.choices.map(quote).join(' ')}; return ;;`];
        case 'file':
          return [`    ${patterns}) _files; return ;;`];
        case 'text':
          return [`    ${patterns}) return ;;`];
      }
    }),
  );

const lists = (tree: readonly CompletableCommand[]): string[] =>
  tree.map((command) => {
    const names = [
      ...command.subcommands.map(({ name, description }) => described(name, description)),
      ...command.choices.map(quote),
    ];
    const flags = command.options.flatMap((option) =>
      option.flags.map((flag) => described(flag, option.description)),
    );
    return `    ${quote(nameOf(command))})\n      names=(${names.join(' ')})\n      flags=(${flags.join(' ')}) ;;`;
  });

export const zshCompletion = (tree: readonly CompletableCommand[]): string => `#compdef ekaci
_ekaci() {
  local at='' word
  local -a names flags
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at/$word" in
${steps(tree).join('\n')}
    esac
  done
  case "$at/\${words[CURRENT-1]}" in
${values(tree).join('\n')}
  esac
  case "$at" in
${lists(tree).join('\n')}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    _describe -o option flags
  elif (( $#names )); then
    _describe command names
  else
    _files
  fi
}
if [[ "\${funcstack[1]}" == _ekaci ]]; then
  _ekaci "$@"
else
  compdef _ekaci ekaci
fi
`;
