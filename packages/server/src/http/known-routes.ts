// Tells "no such address" from "not with this method" and from an address that tries to leave where it is.
import { HttpError } from './errors.ts';

export interface KnownRoutes {
  add(method: string | readonly string[], pattern: string): void;
  /** Why a request that met no route is refused, and the methods that would do. */
  refusalOf(method: string, url: string): { readonly error: HttpError; readonly allowed: readonly string[] };
}

const matches = (pattern: readonly string[], path: readonly string[]): boolean =>
  pattern.length === path.length &&
  pattern.every((part, index) => part.startsWith(':') || part === path[index]);

/** As often as somebody may have encoded it: `%252e` is `%2e` is `.`. */
const decodings = 3;

/** True for `..` as a component, a NUL or a backslash, plain or encoded; and for encodings that cannot be read. */
const triesToLeave = (path: string): boolean => {
  let text = path;
  for (let round = 0; round <= decodings; round++) {
    if (text.includes('\0') || text.split(/[/\\]/).includes('..')) return true;
    try {
      text = decodeURIComponent(text);
    } catch {
      // Of the address itself: broken. Of what it decodes to: just a name with a percent sign.
      return round === 0;
    }
  }
  return false;
};

export const createKnownRoutes = (): KnownRoutes => {
  const routes: { readonly methods: readonly string[]; readonly pattern: readonly string[] }[] = [];
  return {
    add(method, pattern) {
      routes.push({
        methods: typeof method === 'string' ? [method] : [...method],
        pattern: pattern.split('/'),
      });
    },
    refusalOf(method, url) {
      const path = url.split('?', 1)[0] ?? '';
      if (triesToLeave(path)) {
        return {
          error: new HttpError('PATH_INVALID', 'the address holds "..", a NUL or a broken encoding'),
          allowed: [],
        };
      }
      const parts = path.split('/');
      const allowed = [
        ...new Set(routes.filter(({ pattern }) => matches(pattern, parts)).flatMap(({ methods }) => methods)),
      ];
      if (allowed.length === 0) {
        return {
          error: new HttpError('ROUTE_NOT_FOUND', 'there is no such address: /v1/openapi.json lists them'),
          allowed,
        };
      }
      const names = allowed.join(', ');
      return {
        error: new HttpError('METHOD_NOT_ALLOWED', `${method} does nothing here: use ${names}`),
        allowed,
      };
    },
  };
};
