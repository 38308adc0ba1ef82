// The two ways to write credentials into a file: a JSON object, or lines of KEY=VALUE with quotes and whole PEM keys.

export type ParsedCredentials =
  | { readonly kind: 'values'; readonly values: ReadonlyMap<string, string> }
  /** Continues a sentence that names the file; shows nothing of what is in it but names. */
  | { readonly kind: 'invalid'; readonly reason: string };

const invalid = (reason: string): ParsedCredentials => ({ kind: 'invalid', reason });

const parseObject = (text: string): ParsedCredentials => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return invalid('begins like JSON, and is none'); // What the parser says quotes the text.
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return invalid('is no JSON object');
  const values = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      return invalid(`has no text under ${JSON.stringify(key)}`);
    }
    values.set(key, String(value));
  }
  return { kind: 'values', values };
};

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' };

const unescape = (text: string): string =>
  text.replace(/\\(.)/g, (both, letter: string) => escapes[letter] ?? both);

/** A value from where it begins: quoted, a PEM block, or the rest of the line. Sticky, each linear. */
const forms: readonly (readonly [RegExp, (value: string) => string])[] = [
  [/"((?:[^"\\]|\\[\s\S])*)"[ \t]*(?:#[^\n]*)?(?=\n|$)/y, unescape],
  [/'([^']*)'[ \t]*(?:#[^\n]*)?(?=\n|$)/y, (value) => value],
  [/(-----BEGIN [^\n]*\n(?:(?!-----END )[^\n]*\n)*-----END [^\n]*)(?=\n|$)/y, (value) => value.trimEnd()],
  [/((?!["']|-----BEGIN )[^\n]*)(?=\n|$)/y, (value) => value.trim()],
];

const lineStart = /(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*/y;
const skipped = /(?:[ \t]*(?:#[^\n]*)?\n|[ \t]+)*(?:#[^\n]*)?/y;

const matchAt = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  const sticky = new RegExp(pattern.source, pattern.flags);
  sticky.lastIndex = at;
  return sticky.exec(text);
};

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length;

const parseLines = (text: string): ParsedCredentials => {
  const values = new Map<string, string>();
  let at = matchAt(skipped, text, 0)?.[0].length ?? 0;
  while (at < text.length) {
    const start = matchAt(lineStart, text, at);
    const from = at + (start?.[0].length ?? 0);
    const [form] = forms.flatMap(([pattern, read]) => {
      const found = start === null ? null : matchAt(pattern, text, from);
      return found === null ? [] : [{ end: from + found[0].length, value: read(found[1] ?? '') }];
    });
    if (form === undefined) return invalid(`is neither KEY=VALUE nor a comment at line ${lineOf(text, at)}`);
    values.set(start?.[1] ?? '', form.value);
    at = form.end + (matchAt(skipped, text, form.end)?.[0].length ?? 0);
  }
  return { kind: 'values', values };
};

/** What is named twice counts as it is named last. */
export const parseCredentialText = (written: string): ParsedCredentials => {
  const text = written.replaceAll('\r\n', '\n');
  if (text.trim() === '') return invalid('is empty');
  return text.trimStart().startsWith('{') ? parseObject(text) : parseLines(text);
};
