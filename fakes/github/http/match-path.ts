// Which operation a path means. Names of branches, files and revisions may hold slashes.
import type { Operation } from '../api/document.ts';

const longNames = new Set(['basehead', 'branch', 'path', 'ref']);

export interface Matched {
  readonly operation: Operation;
  readonly params: Readonly<Record<string, string>>;
}

interface Pattern {
  readonly operation: Operation;
  readonly expression: RegExp;
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const toPattern = (operation: Operation): Pattern => {
  const source = operation.path
    .split('/')
    .map((segment) => {
      const name = /^\{(.+)\}$/.exec(segment)?.[1];
      if (name === undefined) return escape(segment);
      return `(?<${name}>${longNames.has(name) ? '.+' : '[^/]+'})`;
    })
    .join('/');
  return { operation, expression: new RegExp(`^${source}$`) };
};

/** Whole words before names, so that `/commits/{ref}/status` is found before `/commits/{ref}`. */
const specificFirst = (a: Pattern, b: Pattern): number => {
  const words = ({ operation }: Pattern): number =>
    operation.path.split('/').filter((segment) => !segment.startsWith('{')).length;
  return words(b) - words(a);
};

export const createMatcher = (operations: readonly Operation[]) => {
  const patterns = operations.map(toPattern).toSorted(specificFirst);
  return (method: string, path: string): Matched | null => {
    for (const { operation, expression } of patterns) {
      if (operation.method !== method) continue;
      const found = expression.exec(path);
      if (found === null) continue;
      const params = Object.entries(found.groups ?? {}).map(([name, value]) => [name, decode(value)]);
      return { operation, params: Object.fromEntries(params) as Record<string, string> };
    }
    return null;
  };
};

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Not encoded at all.
  }
};
