import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { annotationsAt, positionOfFault } from './annotations.ts';

const said = { title: 'curl: It newly fails to build', message: 'exit 1' };
const placeOf = (file: string, line: number, jobFile: string | null = 'pkgs/default.nix') =>
  annotationsAt({ position: { file, line }, file: jobFile }, said).map(
    ({ path, startLine, endLine }) => `${path}:${startLine}-${endLine}`,
  );
const ofJob = ['pkgs/default.nix:1-1'];

describe('where a gate points', () => {
  it('is where the package says that it is', () => {
    expect(placeOf('pkgs/curl/default.nix', 12)).toEqual(['pkgs/curl/default.nix:12-12']);
    expect(placeOf('./pkgs//curl.nix', 1)).toEqual(['pkgs/curl.nix:1-1']);
  });

  it.each([
    ['/nix/store/00000000000000000000000000000000-source/pkgs/curl.nix', 1],
    ['/etc/passwd', 1],
    ['../outside.nix', 1],
    ['pkgs/../../outside.nix', 1],
    ['pkgs/\u0000.nix', 1],
    ['', 1],
    ['pkgs/curl.nix', 0],
    ['pkgs/curl.nix', -1],
    ['pkgs/curl.nix', 1.5],
    ['pkgs/curl.nix', Number.NaN],
    ['pkgs/curl.nix', 1e15],
  ])('is the file of the job in place of %j:%d', (file, line) => {
    expect(placeOf(file, line)).toEqual(ofJob);
  });

  it.each([
    ['/default.nix', 'default.nix'],
    ['.', 'default.nix'],
    ['pkgs', 'pkgs/default.nix'],
    ['flake.nix', 'flake.nix'],
  ])('of a job is %j as %j', (file, path) => {
    expect(annotationsAt({ position: null, file }, said)).toMatchObject([{ path, startLine: 1 }]);
  });

  it('is nowhere where nothing can be pointed at', () => {
    expect(annotationsAt({ position: null, file: null }, said)).toEqual([]);
    expect(placeOf('../x', 1, '../y')).toEqual([]);
  });

  it('never is outside of the repository, whatever Nix code says', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 50 }),
      fc
        .array(fc.constantFrom('..', '.', '', 'a', '/', '\\', '%2e%2e', '\u202e'), { maxLength: 8 })
        .map((parts) => parts.join('/')),
    );
    fc.assert(
      fc.property(hostile, hostile, fc.double(), (file, jobFile, line) => {
        for (const { path, startLine, endLine } of annotationsAt(
          { position: { file, line }, file: jobFile },
          said,
        )) {
          const isWithin = /^[^/]/.test(path) && !path.split('/').includes('..');
          const isLine = startLine >= 1 && startLine <= 1_000_000 && endLine === startLine;
          if (!isWithin || !isLine || /[\u0000-\u001f]/.test(path)) throw new Error(`${path}:${startLine}`);
        }
      }),
    );
  });
});

it('says what was said without what a terminal would obey', () => {
  const message = '\u001b[31mred\u001b[0m\n\u0007bell \u202eback';
  expect(annotationsAt({ position: null, file: 'x.nix' }, { title: 'a\u0000b', message })).toMatchObject([
    { title: 'ab', message: 'red\nbell back' },
  ]);
});

it('finds where a configuration cannot be read, and no other fault', () => {
  expect(positionOfFault('CONFIG_INVALID: .eka-ci/config.json:3:5: .eka-ci/config.json: line 3: no')).toEqual(
    {
      file: '.eka-ci/config.json',
      line: 3,
    },
  );
  expect(positionOfFault('CONFIG_INVALID: .ekaci/config.json: is not UTF-8 text')).toEqual({
    file: '.ekaci/config.json',
    line: 1,
  });
  expect(positionOfFault('CONFIG_INVALID: ../x:3:5: no')).toBeNull();
  expect(positionOfFault('MERGE_CONFLICT: .eka-ci/config.json:3:5: no')).toBeNull();
});
