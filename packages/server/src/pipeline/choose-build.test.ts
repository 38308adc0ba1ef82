// How much is built of a base branch, by the server's word and the repository's.
import { expect, it } from 'vitest';
import type { BaselineBuild } from '../forge/forge.ts';
import { chooseBuild } from './choose-build.ts';

it('lets the repository choose less than the server, never more', () => {
  const wanted = (build: BaselineBuild) => [{ pattern: 'release/*', build }];
  const all: readonly BaselineBuild[] = ['evaluate', 'changed', 'all'];
  const chosen = all.map((allowed) => all.map((asked) => chooseBuild(allowed, wanted(asked), 'release/1')));
  expect(chosen).toEqual([
    ['evaluate', 'evaluate', 'evaluate'],
    ['evaluate', 'changed', 'changed'],
    ['evaluate', 'changed', 'all'],
  ]);
  expect(chooseBuild('changed', wanted('evaluate'), 'main')).toBe('changed');
});
