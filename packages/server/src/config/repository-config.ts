// Reads a repository's own configuration out of a tree. The file is written by anyone who can open a pull request:
// nothing is built from half a file, and everything wrong with it is said with its place.
import { errorCodeOf } from '../lib/error-code.ts';
import { type JsonText, JsonTextError, readJsonText } from './json-text.ts';
import { type ConfigPath, type Remark, type SpelledConfig, spellKeys } from './repository-config-keys.ts';
import { type RepositoryConfig, RepositoryConfigSchema } from './repository-config-schema.ts';

export type { RepositoryConfig } from './repository-config-schema.ts';

/** Where the file is looked for, in this order: the second is read only when the first is absent. */
export const configFiles = ['.eka-ci/config.json', '.ekaci/config.json'] as const;

/** Ask `read` for one byte more than this, or the bound cannot be noticed. */
export const maxConfigBytes = 1024 * 1024;
const maxDepth = 32;

export interface ConfigProblem {
  /** As in `jobs.packages.file` or `change_sets[0].kind`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** Counted from 1; null where the problem has no place in the text. */
  readonly line: number | null;
  readonly column: number | null;
}

export type LoadedConfig =
  /** Neither file exists: no gate. */
  | { readonly kind: 'absent' }
  /** `message`, `line` and `column` are the first problem's, in the order of the text. */
  | {
      readonly kind: 'invalid';
      readonly file: string;
      readonly message: string;
      readonly line: number | null;
      readonly column: number | null;
      readonly problems: readonly ConfigProblem[];
    }
  /** `warnings` are sentences for the change summary. */
  | {
      readonly kind: 'valid';
      readonly file: string;
      readonly config: RepositoryConfig;
      readonly warnings: readonly string[];
    };

export interface ConfigSource {
  /**
   * Gives a file of the tree, or null when nothing is there; at least `maxConfigBytes + 1` bytes of a longer one.
   * An error whose code is `GIT_NOT_A_FILE` makes the configuration invalid; any other is passed on.
   */
  read(path: string): Promise<Uint8Array | null>;
}

const formatPath = (path: ConfigPath): string =>
  path.reduce<string>((before, key) => {
    if (typeof key === 'number') return `${before}[${key}]`;
    if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${before}[${JSON.stringify(key)}]`;
    return before === '' ? key : `${before}.${key}`;
  }, '');

/** One line for people: place, path and what is wrong. */
const sentence = (problem: ConfigProblem): string => {
  const place = problem.line === null ? '' : `line ${problem.line}, column ${problem.column}: `;
  return `${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`;
};

const invalid = (file: string, problems: readonly ConfigProblem[]): LoadedConfig => {
  const [first] = problems;
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return {
    kind: 'invalid',
    file,
    message: `${file}: ${first === undefined ? 'invalid' : sentence(first)}${others}`,
    line: first?.line ?? null,
    column: first?.column ?? null,
    problems,
  };
};

const wholeFile = (message: string): ConfigProblem => ({ path: '', message, line: null, column: null });

const locate = (text: JsonText, remarks: readonly Remark[]): ConfigProblem[] =>
  [...remarks]
    .sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0))
    .map(({ path, message, offset }) => {
      const position = offset === null ? null : text.positionOf(offset);
      return {
        path: formatPath(path),
        message,
        line: position?.line ?? null,
        column: position?.column ?? null,
      };
    });

/** The schema's own complaints, each once, with the place that they are about. */
const schemaRemarks = (spelled: SpelledConfig): { config: RepositoryConfig | null; remarks: Remark[] } => {
  const parsed = RepositoryConfigSchema.safeParse(spelled.value);
  if (parsed.success) return { config: parsed.data, remarks: [] };
  const remarks = new Map<string, Remark>();
  for (const issue of parsed.error.issues) {
    const path = issue.path.filter((key) => typeof key !== 'symbol');
    // What a record's key breaks is told by the key's own issues.
    const messages =
      issue.code === 'invalid_key' ? issue.issues.map((inner) => inner.message) : [issue.message];
    for (const message of messages) {
      const identity = `${formatPath(path)}: ${message}`;
      if (remarks.size < 100) remarks.set(identity, { path, message, offset: spelled.offsetOf(path) });
    }
  }
  return { config: null, remarks: [...remarks.values()] };
};

const warnAboutGlobs = (config: RepositoryConfig): string[] =>
  config.change_sets.flatMap((set, index) =>
    set.paths
      .filter((pattern) => /[[\]{}?]|^!/.test(pattern))
      .map(
        (pattern) =>
          `change_sets[${index}].paths: only * and ** are special in ${JSON.stringify(pattern)}, the rest is literal`,
      ),
  );

const parse = (file: string, bytes: Uint8Array): LoadedConfig => {
  let source: string;
  try {
    // The decoder drops a byte order mark.
    source = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return invalid(file, [wholeFile('is not UTF-8 text: save it as UTF-8')]);
  }
  let text: JsonText;
  try {
    text = readJsonText(source, maxDepth);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    return invalid(file, [{ path: '', message: error.message, ...error.position }]);
  }
  const spelled = spellKeys(RepositoryConfigSchema, text);
  const { config, remarks } = schemaRemarks(spelled);
  if (config === null || spelled.errors.length > 0) {
    return invalid(file, locate(text, [...spelled.errors, ...remarks]));
  }
  const warnings = locate(text, spelled.warnings).map((warning) => `${file}: ${sentence(warning)}`);
  return { kind: 'valid', file, config, warnings: [...warnings, ...warnAboutGlobs(config)] };
};

/** Reads the first of `configFiles` that exists. Everything a file can be is a result, not an error. */
export const loadRepositoryConfig = async (source: ConfigSource): Promise<LoadedConfig> => {
  for (const file of configFiles) {
    let bytes: Uint8Array | null;
    try {
      bytes = await source.read(file);
    } catch (error) {
      if (errorCodeOf(error) !== 'GIT_NOT_A_FILE') throw error;
      return invalid(file, [
        wholeFile('is a symbolic link, a directory or a submodule: commit a plain file'),
      ]);
    }
    if (bytes === null) continue;
    if (bytes.length > maxConfigBytes) {
      return invalid(file, [wholeFile(`is larger than ${maxConfigBytes} bytes (1 MiB): shorten it`)]);
    }
    return parse(file, bytes);
  }
  return { kind: 'absent' };
};
