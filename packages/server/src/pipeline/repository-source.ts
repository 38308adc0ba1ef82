// What a configured repository's address means to git.
import { resolve } from 'node:path';
import type { GitSource } from '../git/git.ts';

/** As git reads it: a scheme, or a colon before any slash (`user@host:path`), makes it a URL; else it is a path. */
export const sourceOf = (url: string): GitSource =>
  /^[a-z][a-z0-9+.-]*:\/\/|^[^/]*:/i.test(url) ? { kind: 'url', url } : { kind: 'local', path: resolve(url) };
