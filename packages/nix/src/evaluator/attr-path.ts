// Attribute paths as Nix writes them, and strings as data inside a Nix expression.

/** Words that Nix would read as syntax: printed quoted. */
const keywords = new Set(['if', 'then', 'else', 'assert', 'with', 'let', 'in', 'rec', 'inherit', 'or']);

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** A Nix string literal that evaluates to exactly `value`: no `${` in it interpolates. */
export const quoteNixString = (value: string): string =>
  `"${value.replace(/["\\\n\r\t]/g, (character) => escapes[character] ?? character).replaceAll('${', '\\${')}"`;

const quoteName = (name: string): string =>
  /^[a-zA-Z_][a-zA-Z0-9_'-]*$/.test(name) && !keywords.has(name) ? name : quoteNixString(name);

/** @example printAttrPath(['python3', 'a.b']) // python3."a.b" */
export const printAttrPath = (path: readonly string[]): string => path.map(quoteName).join('.');
