// GraphQL documents as far as clients of this fake write them: one operation, arguments, aliases, inline fragments.
import type { Json } from '../state/json.ts';

export interface Field {
  readonly name: string;
  readonly alias: string;
  readonly arguments: Readonly<Record<string, Json>>;
  readonly selection: readonly Selection[];
}

export type Selection =
  | { readonly kind: 'field'; readonly field: Field }
  | { readonly kind: 'on'; readonly type: string; readonly selection: readonly Selection[] };

export interface Query {
  readonly operation: 'mutation' | 'query';
  readonly selection: readonly Selection[];
}

export class QueryError extends Error {
  readonly code = 'FAKE_GITHUB_QUERY';
  constructor(message: string) {
    super(message);
    this.name = 'QueryError';
  }
}

const token =
  /\s*(?:#[^\n]*\n\s*|,\s*)*(\.\.\.|[{}()[\]:!=$@]|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[A-Za-z_]\w*)/gy;

const tokenize = (text: string): string[] => {
  const tokens: string[] = [];
  token.lastIndex = 0;
  for (let at = 0; text.slice(at).replace(/[\s,]/g, '') !== ''; at = token.lastIndex) {
    const found = token.exec(text);
    if (found === null) throw new QueryError(`Parse error on ${JSON.stringify(text.slice(at, at + 20))}`);
    tokens.push(found[1] ?? '');
  }
  return tokens;
};

type Variables = Readonly<Record<string, Json>>;

/** A cursor over the tokens of one document. */
const createReader = (tokens: readonly string[], variables: Variables) => {
  let at = 0;
  const peek = (): string => tokens[at] ?? '';
  const next = (): string => {
    at += 1;
    return tokens[at - 1] ?? '';
  };
  const expect = (wanted: string): void => {
    const found = next();
    if (found !== wanted) throw new QueryError(`Parse error on "${found}": expected "${wanted}"`);
  };
  const until = <T>(end: string, read: () => T): T[] => {
    const items: T[] = [];
    while (peek() !== end) {
      if (at >= tokens.length) throw new QueryError(`Parse error: expected "${end}" before the end`);
      items.push(read());
    }
    next();
    return items;
  };
  const readValue = (): Json => {
    const found = next();
    if (found === '$') return variables[next()] ?? null;
    if (found === '[') return until(']', readValue);
    if (found === '{') return Object.fromEntries(until('}', readMember));
    if (found.startsWith('"') || /^-?\d/.test(found)) return JSON.parse(found) as Json;
    if (found === 'true' || found === 'false') return found === 'true';
    // What is left is a constant of an enumeration: its name.
    return found === 'null' ? null : found;
  };
  const readMember = (): [string, Json] => {
    const name = next();
    expect(':');
    return [name, readValue()];
  };
  const readSelection = (): Selection => {
    if (peek() === '...') {
      next();
      expect('on');
      return { kind: 'on', type: next(), selection: readSelections() };
    }
    const first = next();
    const isAlias = peek() === ':';
    if (isAlias) next();
    const name = isAlias ? next() : first;
    const hasArguments = peek() === '(';
    if (hasArguments) next();
    const given = Object.fromEntries(hasArguments ? until(')', readMember) : []);
    const selection = peek() === '{' ? readSelections() : [];
    return { kind: 'field', field: { name, alias: first, arguments: given, selection } };
  };
  const readSelections = (): Selection[] => {
    expect('{');
    return until('}', readSelection);
  };
  return { peek, next, until, readSelections, ended: () => at >= tokens.length };
};

/** @throws QueryError with a message like GitHub's */
export const parseQuery = (text: string, variables: Variables): Query => {
  const reader = createReader(tokenize(text), variables);
  const word = reader.peek() === '{' ? 'query' : reader.next();
  if (word !== 'query' && word !== 'mutation') throw new QueryError(`Parse error on "${word}"`);
  if (reader.peek() !== '{' && reader.peek() !== '(') reader.next(); // The operation's name.
  if (reader.peek() === '(') {
    reader.next();
    reader.until(')', reader.next);
  }
  const selection = reader.readSelections();
  if (!reader.ended()) throw new QueryError('Parse error: one operation at a time');
  return { operation: word, selection };
};
