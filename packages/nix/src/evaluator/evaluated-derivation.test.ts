import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEvaluatedDerivation } from './evaluated-derivation.ts';

describe('a path that is said to be of a derivation', () => {
  let store: string;
  const pathOf = (name: string): string => join(store, `${'0'.repeat(32)}-${name}.drv`);
  const text = 'Derive([("out","/o","","")],[],[],"some-system","/bin/sh",[],[])';
  beforeAll(() => {
    store = mkdtempSync(join(tmpdir(), 'eka-ci-drv-'));
    writeFileSync(pathOf('plain'), text);
    symlinkSync(pathOf('plain'), pathOf('link'));
    symlinkSync('/dev/zero', pathOf('endless'));
    mkdirSync(pathOf('folder'));
    writeFileSync(pathOf('large'), '');
    truncateSync(pathOf('large'), 33 * 1024 * 1024);
  });
  afterAll(() => rmSync(store, { recursive: true }));

  it('is read', () => {
    expect(readEvaluatedDerivation(pathOf('plain'), store)).toEqual({
      kind: 'read',
      facts: { drvPath: pathOf('plain'), name: 'plain', system: 'some-system', outputs: { out: '/o' } },
    });
  });

  it.each([
    ['link', /no file of a derivation/],
    ['endless', /no file of a derivation/],
    ['folder', /no file of a derivation/],
    ['large', /larger than 32 MiB/],
    ['gone', /there is no derivation/],
    ['../x', /./],
  ])('is refused where it is none: %s', (name, reason) => {
    expect(readEvaluatedDerivation(pathOf(name), store)).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(reason) as unknown,
    });
  });
});
