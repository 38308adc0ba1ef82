// Globs over repository paths. Patterns and paths both come from outside, so matching takes time linear in each:
// translated into a regular expression, `*a*a*a*a*b` against 200 letters was measured to hold the process for 25 s.

type Token =
  | { readonly kind: 'text'; readonly char: string }
  /** `*`: any characters but `/`, or none. */
  | { readonly kind: 'within-segment' }
  /** `**`: any characters, or none. */
  | { readonly kind: 'across' }
  /** A whole segment `**` and its slash: any number of directories, or none. */
  | { readonly kind: 'directories' };

const readTokens = (pattern: string): Token[] => {
  const tokens: Token[] = [];
  let at = 0;
  while (at < pattern.length) {
    const startsSegment = at === 0 || pattern[at - 1] === '/';
    if (startsSegment && pattern.startsWith('**/', at)) {
      tokens.push({ kind: 'directories' });
      at += 3;
    } else if (pattern.startsWith('**', at)) {
      tokens.push({ kind: 'across' });
      at += 2;
    } else if (pattern[at] === '*') {
      tokens.push({ kind: 'within-segment' });
      at += 1;
    } else {
      tokens.push({ kind: 'text', char: pattern[at] ?? '' });
      at += 1;
    }
  }
  return tokens;
};

/** Positions that are reached without reading a character: every wildcard may stand for nothing. */
const skipWildcards = (tokens: readonly Token[], reached: Uint8Array): void => {
  for (const [index, token] of tokens.entries()) {
    if (reached[index] === 1 && token.kind !== 'text') reached[index + 1] = 1;
  }
};

const readCharacter = (tokens: readonly Token[], reached: Uint8Array, char: string): Uint8Array => {
  const next = new Uint8Array(tokens.length + 1);
  for (const [index, token] of tokens.entries()) {
    if (reached[index] !== 1 && reached[index] !== 2) continue;
    switch (token.kind) {
      case 'text':
        if (token.char === char) next[index + 1] = 1;
        break;
      case 'within-segment':
        if (char !== '/') next[index] = 1;
        break;
      case 'across':
        next[index] = 1;
        break;
      case 'directories':
        // 2: inside a directory's name, where the rest of the pattern may not begin.
        next[index] = char === '/' ? 1 : 2;
        break;
    }
  }
  return next;
};

/**
 * Makes a test for whole paths: `*` stays within one segment, `**` crosses `/`, a segment that is `**` also stands
 * for no directory at all, and everything else is itself. A leading `/` or `./` means the repository's root.
 */
export const compilePathGlob = (pattern: string): ((path: string) => boolean) => {
  const tokens = readTokens(pattern.replace(/^(?:\.?\/)+/, ''));
  const firstWildcard = tokens.findIndex((token) => token.kind !== 'text');
  const prefix = tokens
    .slice(0, firstWildcard === -1 ? tokens.length : firstWildcard)
    .map((token) => (token.kind === 'text' ? token.char : ''))
    .join('');
  return (path) => {
    if (!path.startsWith(prefix)) return false;
    if (firstWildcard === -1) return path.length === prefix.length;
    let reached: Uint8Array = new Uint8Array(tokens.length + 1);
    reached[firstWildcard] = 1;
    skipWildcards(tokens, reached);
    for (let at = prefix.length; at < path.length; at++) {
      reached = readCharacter(tokens, reached, path[at] ?? '');
      skipWildcards(tokens, reached);
    }
    return reached[tokens.length] === 1;
  };
};
