// Every check is seen to fail: a clean tree passes under the project's own configuration, planted violations do not.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StepResult } from './step.ts';
import { steps } from './steps.ts';
import { createSkeleton, type Skeleton } from './testing/skeleton.ts';

let skeleton: Skeleton;

beforeAll(async () => {
  skeleton = await createSkeleton();
});
afterAll(() => skeleton.remove());

const run = (name: string, planted: Readonly<Record<string, string>> = {}): Promise<StepResult> => {
  const step = steps.find((candidate) => candidate.name === name);
  if (step === undefined) throw new Error(`no check is called ${name}`);
  return skeleton.withPlanted(planted, () => step.run(skeleton.root));
};

/** The lines of the output that name both the file and what is wrong with it. */
const findings = (result: StepResult, file: string, what: string): readonly string[] =>
  result.output.split('\n').filter((line) => line.includes(file) && line.includes(what));

describe('a clean tree', () => {
  it.each(['types', 'lint', 'unused', 'boundaries', 'format'])('passes %s', async (name) => {
    expect(await run(name)).toMatchObject({ ok: true });
  });
});

describe('types', () => {
  const planted = {
    'packages/core/src/reads-files.ts': [
      "import { readFileSync } from 'node:fs';\nexport const f = readFileSync;\n",
      'TS2591',
    ],
    'packages/core/src/enum.ts': ['export enum State {\n  Queued,\n}\n', 'TS1294'],
    'packages/core/src/index-access.ts': [
      'export const first = (a: readonly string[]): string => a[0];\n',
      'TS2322',
    ],
    'packages/core/src/optional.ts': ['export const o: { a?: number } = { a: undefined };\n', 'TS2375'],
    'packages/core/src/type-import.ts': ["import { T } from './t.ts';\nexport const t: T = 1;\n", 'TS1484'],
    'packages/core/src/t.ts': ['export type T = 1 | 2;\n', ''],
    'packages/core/src/override.ts': [
      'class A {\n  f(): number {\n    return 1;\n  }\n}\nexport class B extends A {\n  f(): number {\n    return 2;\n  }\n}\n',
      'TS4114',
    ],
    'packages/core/src/returns.ts': [
      'export const r = (a: boolean) => {\n  if (a) return 1;\n};\n',
      'TS7030',
    ],
    'packages/core/src/implicit-any.ts': ['export const i = (a) => a as string;\n', 'TS7006'],
    'packages/core/src/checked.test.ts': ["export const n: number = 'text';\n", 'TS2322'],
  } as const;

  it('are strict in every way that the configuration asks for, in tests too', async () => {
    const files = Object.entries(planted).map(([file, [text]]) => [file, text] as const);
    const result = await run('types', Object.fromEntries(files));
    expect(result.ok).toBe(false);
    for (const [file, [, code]] of Object.entries(planted)) {
      if (code !== '') expect(findings(result, file, code), `${file} ${code}`).toHaveLength(1);
    }
  });
});

describe('lint', () => {
  const header = "const later = (): Promise<number> => Promise.resolve(1);\ntype State = 'on' | 'off';\n";
  const planted = {
    'no-floating-promises': `${header}export const f = (): void => {\n  later();\n};\n`,
    'no-misused-promises': `${header}export const f = (): number => (later() ? 1 : 2);\n`,
    'await-thenable': 'export const f = async (n: number): Promise<number> => await n;\n',
    'switch-exhaustiveness-check': `${header}export const f = (s: State): number => {\n  switch (s) {\n    case 'on':\n      return 1;\n    default:\n      return 2;\n  }\n};\n`,
    'consistent-type-imports':
      "export const f = (s: import('@eka-ci/process/run').value): string => String(s);\n",
    'no-explicit-any': 'export const f = (a: any): boolean => a === 1;\n',
    'no-unsafe-assignment':
      'export const f = (text: string): void => {\n  const a = JSON.parse(text);\n  f(String(a));\n};\n',
    'no-unsafe-member-access': 'export const f = (text: string): boolean => JSON.parse(text).a === 1;\n',
    'no-unsafe-return': 'export const f = (text: string): string => JSON.parse(text);\n',
    'only-throw-error': "export const f = (): never => {\n  throw 'text';\n};\n",
    'preserve-caught-error':
      "export const f = (g: () => void): void => {\n  try {\n    g();\n  } catch (error) {\n    if (error === 1) g();\n    throw new Error('lost');\n  }\n};\n",
    'no-console': "export const f = (): void => {\n  console.log('text');\n};\n",
    'no-default-export': 'export default 1;\n',
    'prefer-node-protocol':
      "import { join } from 'path';\n\nexport const f = (): string => join('a', 'b');\n",
    eqeqeq: 'export const f = (a: number | null): boolean => a == 1;\n',
  };
  const fileOf = (rule: string): string => `packages/server/src/lib/planted-${rule}.ts`;
  const manyLines = '  f();\n'.repeat(310);

  it('finds what needs types and what does not', async () => {
    const files = Object.entries(planted).map(([rule, text]) => [fileOf(rule), text] as const);
    const result = await run('lint', Object.fromEntries(files));
    expect(result.ok).toBe(false);
    for (const rule of Object.keys(planted)) {
      expect(findings(result, fileOf(rule), `(${rule})`), rule).not.toHaveLength(0);
    }
  });

  it('only warns of a long file and a long function', async () => {
    const file = fileOf('length');
    const result = await run('lint', { [file]: `export const f = (): void => {\n${manyLines}};\n` });
    expect(result.ok).toBe(true);
    expect(result.warnings?.filter((line) => line.includes(file))).toHaveLength(2);
  });

  it('refuses a file name that is not in kebab case', async () => {
    const file = 'packages/core/src/buildState.ts';
    const result = await run('lint', { [file]: 'export const f = 1;\n' });
    expect(findings(result, file, 'filename-case')).toHaveLength(1);
  });
});

describe('unused', () => {
  it('finds files, exports, types and dependencies that nobody uses, and dependencies that nobody named', async () => {
    const manifest = await skeleton.read('packages/nix/package.json');
    const { ok, output } = await run('unused', {
      'bench/forgotten.ts': 'export const forgotten = 1;\n',
      'packages/core/src/unused-export.ts':
        'export const unusedExport = 1;\nexport interface UnusedType {\n  a: 1;\n}\n',
      'packages/process/src/unlisted.ts': "import { z } from 'zod';\n\nexport const unlisted = z.string();\n",
      'packages/nix/package.json': manifest.replace(
        '"dependencies": {',
        '"dependencies": {\n    "zod": "4.6.7",',
      ),
    });
    expect(ok).toBe(false);
    const section = (title: string): string =>
      output.split(/^(?=Un\w+ [a-z ]+\(\d+\)$)/m).find((part) => part.startsWith(`${title} (`)) ?? '';
    expect(section('Unused files')).toContain('bench/forgotten.ts');
    expect(section('Unused exports')).toContain('unusedExport');
    expect(section('Unused exported types')).toContain('UnusedType');
    expect(section('Unused dependencies')).toContain('packages/nix/package.json');
    expect(section('Unlisted dependencies')).toContain('packages/process/src/unlisted.ts');
  });
});

describe('format', () => {
  it('finds text that is not formatted and imports that are not sorted', async () => {
    const planted = {
      'packages/core/src/unformatted.ts': 'export const  a = "text"\n',
      'packages/core/src/unsorted.ts':
        "import { b } from './b.ts';\nimport { a } from './a.ts';\n\nexport const c = [a, b];\n",
    };
    const result = await run('format', planted);
    expect(result.ok).toBe(false);
    for (const file of Object.keys(planted)) expect(result.output).toContain(file);
  });
});
