import { expect, it } from 'vitest';
import { splitAttrPath } from './jobs.ts';

it('splits attribute paths where the schema allows names to end', () => {
  expect(splitAttrPath('python3.pkgs')).toEqual(['python3', 'pkgs']);
  expect(splitAttrPath('pkgs."a.b".c')).toEqual(['pkgs', 'a.b', 'c']);
  expect(splitAttrPath('"say \\"hi\\""')).toEqual(['say "hi"']);
});
