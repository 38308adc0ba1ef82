import { expect, it } from 'vitest';
import { changePath, isRepositoryName } from './arguments.ts';

it('addresses a change by the name of its repository, with the host of its forge or without', () => {
  expect(changePath('owner/my set', 12)).toBe('/v1/prs/git/owner/my%20set/12');
  expect(changePath('github.com/owner/set', 12)).toBe('/v1/prs/github.com/owner/set/12');
});

it('tells the name of a repository from what is none', () => {
  const texts = ['owner/set', 'github.com/owner/set', 'set', 'a/b/c/d', '/a/b', 'a/b/', 'a//b', 'a/b c', ''];
  expect(texts.filter(isRepositoryName)).toEqual(['owner/set', 'github.com/owner/set']);
});
