// The command of a hook: its arguments with variables of a build in them. No shell ever reads it, so a value stays
// within its argument, whatever characters it has.

/** What a hook is told of a build, by name: in its arguments, and in its environment. */
export const hookVariables = [
  'DRV_PATH',
  'OUT_PATHS',
  'EKA_JOB_NAME',
  'EKA_IS_FOD',
  'EKA_SYSTEM',
  'EKA_PNAME',
  'EKA_BUILD_LOG_PATH',
  'EKA_COMMIT_SHA',
] as const;
export type HookVariable = (typeof hookVariables)[number];

export interface HookValues {
  /** Of all but `OUT_PATHS`. */
  readonly texts: Readonly<Record<Exclude<HookVariable, 'OUT_PATHS'>, string>>;
  readonly outPaths: readonly string[];
}

/** `$NAME`, `${NAME}`, `$$`, or a dollar that is none of them. */
const dollar = /\$(?:\$|([A-Za-z_]\w*)|\{([^{}]*)\})?/g;

const isKnown = (name: string): name is HookVariable => (hookVariables as readonly string[]).includes(name);

const faultsOfArgument = (argument: string): string[] =>
  [...argument.matchAll(dollar)].flatMap(([found, plain, braced]) => {
    if (found === '$$') return [];
    const name = plain ?? braced;
    if (name === undefined) return ['has a "$" that begins no variable: write "$$" for a dollar'];
    return isKnown(name)
      ? []
      : [
          `names the unknown variable ${JSON.stringify(name)}: known are ${hookVariables.join(', ')}; write "$$" for a dollar`,
        ];
  });

export interface CommandFault {
  /** Of the argument. */
  readonly index: number;
  /** Continues a sentence that names the argument. */
  readonly message: string;
}

/** What is wrong with a command as it is written. Pure. */
export const commandFaults = (command: readonly string[]): CommandFault[] =>
  command.flatMap((argument, index) => {
    if (index > 0) return faultsOfArgument(argument).map((message) => ({ index, message }));
    if (argument === '') return [{ index, message: 'is the program, and must not be empty' }];
    if (argument.includes('/') && !argument.startsWith('/')) {
      const message = 'is the program, and must be an absolute path, or a name that is looked up in PATH';
      return [{ index, message }];
    }
    return argument.includes('$')
      ? [{ index, message: 'is the program, and must have no "$": what runs is not for a build to choose' }]
      : [];
  });

export const textOfVariable = (name: HookVariable, { texts, outPaths }: HookValues): string =>
  name === 'OUT_PATHS' ? outPaths.join(' ') : texts[name];

/**
 * The command with every variable replaced, once: what a value holds is not looked at again. Pure.
 * @param command one without faults
 */
export const expandCommand = (command: readonly string[], values: HookValues): string[] =>
  command.flatMap((argument) => {
    if (argument === '$OUT_PATHS') return [...values.outPaths];
    const expanded = argument.replace(dollar, (found, plain?: string, braced?: string) => {
      const name = plain ?? braced ?? '';
      return isKnown(name) ? textOfVariable(name, values) : '$';
    });
    return [expanded];
  });
