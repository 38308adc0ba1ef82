// The size of records against what V8 really holds for them.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { EvaluationRecord, PackageMeta } from '@eka-ci/core/evaluation';
import type { DrvPath } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import { recordBytes } from './record-size.ts';

const collected = (): number => {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
};

const meta = (more: Partial<PackageMeta>): PackageMeta => ({
  ...{ pname: null, version: null, position: null, licenses: [], maintainers: [], maintainerIds: [] },
  ...{ broken: true, insecure: false, unfree: false, unsupported: false },
  ...more,
});

const failed = (attrPath: readonly string[], message: string): EvaluationRecord => ({
  ...{ kind: 'failed', attr: attrPath.join('.'), attrPath },
  failure: { kind: 'throw', message, position: null },
});

const texts = (count: number, of: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => of(index));

const ofSet = (index: number): EvaluationRecord => {
  const name = `python3.12-package-number-${index}-1.2.3`;
  const path = `/nix/store/${String(index).padStart(32, '0')}-${name}`;
  return {
    ...{
      kind: 'derivation',
      name,
      system: 'x86_64-linux',
      drvPath: `${path}.drv` as DrvPath,
      metaError: null,
    },
    ...{ attr: `python3Packages.package-${index}`, attrPath: ['python3Packages', `package-${index}`] },
    outputs: { out: path, dist: `${path}-dist` },
    meta: meta({
      ...{ pname: `package-number-${index}`, version: `1.2.${index}`, licenses: ['MIT'] },
      ...{ maintainers: ['somebody', 'else'], maintainerIds: [123_456, 1234] },
      position: `pkgs/development/python-modules/package-number-${index}/default.nix:42`,
    }),
  };
};

it.each<[what: string, count: number, of: (index: number) => EvaluationRecord]>([
  ['a package of a set', 8000, ofSet],
  ['a short failure', 40_000, (index) => failed([`a${index}`], 'no')],
  [
    'a long one, in letters of two bytes',
    4000,
    (index) => failed([`a${index}`], `${index}${'中'.repeat(900)}`),
  ],
  [
    'a long path',
    2000,
    (index) =>
      failed(
        texts(100, (at) => `${index}_${at}`),
        'no',
      ),
  ],
  [
    'many short licenses',
    1000,
    (index) => ({
      ...{ kind: 'unavailable', attr: `a${index}`, attrPath: [`a${index}`], reasons: ['broken'] },
      meta: meta({
        licenses: texts(200, (at) => `l${index}.${at}`),
        maintainers: texts(200, (at) => `m${index}.${at}`),
      }),
    }),
  ],
])('is about what %s takes', (_what, count, of) => {
  const before = collected();
  // As they come: parsed, each with texts of its own; and the plan's row of each.
  const records = Array.from(
    { length: count },
    (_, index) => JSON.parse(JSON.stringify(of(index))) as EvaluationRecord,
  );
  const rows = records.map((judged) => ({
    change: 'added',
    attr: judged.attr,
    base: null,
    judged,
    twin: null,
  }));
  const held = collected() - before;
  expect(rows).toHaveLength(count);
  const told = records.reduce((sum, record) => sum + recordBytes(record), 0);
  expect(told / held).toBeGreaterThan(0.8);
  expect(told / held).toBeLessThan(1.5);
});
