// The command that repeats a failure on the reader's machine, safe to paste whatever the names in it are.

/** What a job evaluates, as its repository's configuration says. */
export type JobSource =
  | {
      readonly kind: 'file';
      /** Relative to the repository's root. */
      readonly file: string;
      /** Dotted path below which the job's attributes lie; null for the file's own value. */
      readonly attrPath: string | null;
    }
  | {
      readonly kind: 'flake';
      /** For example `packages` or `checks`. */
      readonly output: string;
    };

/** What a job evaluates, relative to the repository's root. */
export const fileOf = (source: JobSource): string => (source.kind === 'flake' ? 'flake.nix' : source.file);

/** Characters that a reader cannot see, or that end a line where they are pasted. */
const unpasteable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

const quoteForShell = (word: string): string =>
  /^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

const joinAttr = (prefix: string | null, attr: string): string =>
  prefix === null || prefix === '' ? attr : `${prefix}.${attr}`;

/**
 * For a shell in a checkout of the judged tree; null where a name in it cannot be pasted.
 * @param attr as Nix writes it, names quoted where needed
 * @param evaluateOnly for what fails before there is anything to build
 */
export const formatReproduction = (source: JobSource, attr: string, evaluateOnly: boolean): string | null => {
  const words = source.kind === 'flake' ? [source.output, attr] : [source.file, source.attrPath ?? '', attr];
  if (words.some((word) => unpasteable.test(word))) return null;
  if (source.kind === 'flake') {
    const installable = quoteForShell(`.#${source.output}.${attr}`);
    return evaluateOnly ? `nix eval ${installable}.drvPath` : `nix build -L ${installable}`;
  }
  // A leading ./ keeps a file called -x from being an option.
  const file = quoteForShell(`./${source.file.replace(/^\/+/, '')}`);
  const command = evaluateOnly ? 'nix-instantiate' : 'nix-build';
  return `${command} ${file} -A ${quoteForShell(joinAttr(source.attrPath, attr))}`;
};
