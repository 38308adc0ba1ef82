// The XDG base directories: where a program of one user keeps its files.
import { isAbsolute, join } from 'node:path';

export interface BaseDirectories {
  readonly configHome: string;
  readonly dataHome: string;
  readonly stateHome: string;
  /** Null where the environment names none: the specification has no default for it. */
  readonly runtimeDir: string | null;
}

/**
 * Reads the base directories. A variable that is unset, empty or relative counts as unset, as the XDG base directory
 * specification (0.8) wants.
 * @param home the user's home directory, where `HOME` is unset
 */
export const baseDirectories = (
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): BaseDirectories => {
  const absolute = (name: string): string | null => {
    const value = env[name] ?? '';
    return isAbsolute(value) ? value : null;
  };
  const base = absolute('HOME') ?? home;
  return {
    configHome: absolute('XDG_CONFIG_HOME') ?? join(base, '.config'),
    dataHome: absolute('XDG_DATA_HOME') ?? join(base, '.local/share'),
    stateHome: absolute('XDG_STATE_HOME') ?? join(base, '.local/state'),
    runtimeDir: absolute('XDG_RUNTIME_DIR'),
  };
};
