// What can stand where on the command line, read from the commands themselves.
import type { Command, Option } from 'commander';

export interface CompletableOption {
  /** `-q`, `--quiet`: as they are typed. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What follows it; null where nothing does. */
  readonly value: CompletableValue | null;
}

export type CompletableValue =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'file' }
  /** Anything: a number, a name. */
  | { readonly kind: 'text' };

export interface CompletableCommand {
  /** Names from below `ekaci` down; empty for `ekaci` itself. */
  readonly path: readonly string[];
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletableOption[];
  /** What its arguments may be, where they are of a closed set. */
  readonly choices: readonly string[];
}

const valueOf = (option: Option): CompletableValue | null => {
  if (!option.required && !option.optional) return null;
  if (option.argChoices !== undefined) return { kind: 'choices', choices: option.argChoices };
  return /<(?:path|file|folder)>/.test(option.flags) ? { kind: 'file' } : { kind: 'text' };
};

const optionOf = (option: Option): CompletableOption => ({
  flags: [option.short, option.long].filter((flag) => flag !== undefined),
  description: option.description,
  value: valueOf(option),
});

/** The command and all below it, each before its own. */
export const readCompletionTree = (
  command: Command,
  path: readonly string[] = [],
): readonly CompletableCommand[] => {
  const help = command.createHelp();
  const below = help.visibleCommands(command);
  const own: CompletableCommand = {
    path,
    subcommands: below.map((one) => ({ name: one.name(), description: help.subcommandDescription(one) })),
    options: help.visibleOptions(command).map(optionOf),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  return [own, ...below.flatMap((one) => readCompletionTree(one, [...path, one.name()]))];
};
