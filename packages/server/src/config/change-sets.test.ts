import { describe, expect, it } from 'vitest';
import { matchesChangeSet } from './change-sets.ts';

describe('matchesChangeSet', () => {
  const sets = [
    { paths: ['doc/**'], kind: 'docs-only' as const },
    { paths: ['**/*.md'], kind: 'docs-only' as const },
    { paths: ['.github/**'], kind: 'no-op' as const },
    { paths: ['flake.lock'], kind: 'full-rebuild' as const },
  ];
  it.each([
    [['doc/a', 'README.md'], 'docs-only'],
    [['.github/x'], 'no-op'],
    [['.github/x', 'doc/a'], 'no-op'],
    [['doc/a', 'default.nix'], null],
    [['flake.lock', 'default.nix'], 'full-rebuild'],
    [[], null],
  ])('%j: %s', (paths, kind) => {
    expect(matchesChangeSet(sets, paths)).toBe(kind);
  });
});
