// The two ways to write credentials into a file: a JSON object, or lines of KEY=VALUE with quotes and whole PEM keys.
import { isDeeper } from '../lib/json-depth.ts';

export type ParsedCredentials =
  | { readonly kind: 'values'; readonly values: ReadonlyMap<string, string> }
  /** Continues a sentence that names the file; shows nothing of what is in it but names. */
  | { readonly kind: 'invalid'; readonly reason: string };

const invalid = (reason: string): ParsedCredentials => ({ kind: 'invalid', reason });

/** Of what was JSON: an object of texts and numbers. */
export const parseCredentialObject = (json: unknown): ParsedCredentials => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return invalid('is no JSON object');
  const values = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      return invalid(`has no text under ${/^[\w.-]{1,64}$/.test(key) ? `"${key}"` : 'one of its names'}`);
    }
    values.set(key, String(value));
  }
  return values.size === 0 ? invalid('is empty') : { kind: 'values', values };
};

const maxDepth = 16;

const parseObject = (text: string): ParsedCredentials => {
  if (isDeeper(text, maxDepth)) return invalid('is nested too deeply');
  try {
    return parseCredentialObject(JSON.parse(text));
  } catch {
    return invalid('begins like JSON, and is none'); // What the parser says quotes the text.
  }
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

/** @param pattern sticky: where it was before is of no matter */
const matchAt = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(text);
};

interface Form {
  readonly end: number;
  readonly value: string;
}

/** The first form that the value has. */
const readForm = (text: string, from: number): Form | null => {
  for (const [pattern, read] of forms) {
    const found = matchAt(pattern, text, from);
    if (found !== null) return { end: from + found[0].length, value: read(found[1] ?? '') };
  }
  return null;
};

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length;

const parseLines = (text: string): ParsedCredentials => {
  const values = new Map<string, string>();
  let at = matchAt(skipped, text, 0)?.[0].length ?? 0;
  while (at < text.length) {
    const start = matchAt(lineStart, text, at);
    const from = at + (start?.[0].length ?? 0);
    const form = start === null ? null : readForm(text, from);
    if (form === null) return invalid(`is neither KEY=VALUE nor a comment at line ${lineOf(text, at)}`);
    values.set(start?.[1] ?? '', form.value);
    at = form.end + (matchAt(skipped, text, form.end)?.[0].length ?? 0);
  }
  return values.size === 0 ? invalid('is empty') : { kind: 'values', values };
};

/** What is named twice counts as it is named last. */
export const parseCredentialText = (written: string): ParsedCredentials => {
  const text = written.replaceAll('\r\n', '\n');
  if (text.trim() === '') return invalid('is empty');
  return text.trimStart().startsWith('{') ? parseObject(text) : parseLines(text);
};
