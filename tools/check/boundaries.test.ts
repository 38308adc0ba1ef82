// Every rule of .dependency-cruiser.mjs is seen to fail, in each way that TypeScript has to import.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repositoryRoot, runProgram } from '../program.ts';
import { checkBoundaries } from './boundaries.ts';
import type { StepResult } from './step.ts';
import { createSkeleton, type Skeleton } from './testing/skeleton.ts';

let skeleton: Skeleton;

beforeAll(async () => {
  skeleton = await createSkeleton();
});
afterAll(() => skeleton.remove());

const check = (planted: Readonly<Record<string, string>>): Promise<StepResult> =>
  skeleton.withPlanted(planted, () => checkBoundaries(skeleton.root));

const server = 'packages/server/src';

interface Plant {
  readonly rule: string;
  readonly from: string;
  /** As it is written in the import. */
  readonly imports: string;
  /** What the rule's finding names; '' where the target stands for itself. */
  readonly to: string;
}

const plant = (rule: string, from: string, imports: string, to: string): Plant => ({
  rule,
  from,
  imports,
  to,
});

const plants: readonly Plant[] = [
  plant('no-cycles', 'packages/core/src/a.ts', './b.ts', 'packages/core/src/b.ts'),
  plant('nothing-unresolvable', 'packages/core/src/c.ts', './missing.ts', './missing.ts'),
  plant('core-is-pure', 'packages/core/src/d.ts', 'node:fs', 'fs'),
  plant(
    'core-imports-only-itself',
    'packages/core/src/e.test.ts',
    '@eka-ci/nix/store',
    'packages/nix/src/store.ts',
  ),
  plant(
    'process-imports-only-itself',
    'packages/process/src/a.ts',
    '@eka-ci/core/ids',
    'packages/core/src/ids.ts',
  ),
  plant(
    'nix-imports-only-itself-core-process',
    'packages/nix/src/a.ts',
    '@eka-ci/server/server',
    `${server}/server.ts`,
  ),
  plant(
    'protocol-imports-only-itself-core',
    'packages/protocol/src/a.ts',
    '@eka-ci/nix/store',
    'packages/nix/src/store.ts',
  ),
  plant(
    'server-imports-only-itself-core-nix-process-protocol',
    `${server}/a.ts`,
    '../../cli/src/main.ts',
    'packages/cli/src/main.ts',
  ),
  plant(
    'cli-imports-only-itself-process-protocol',
    'packages/cli/src/a.ts',
    '@eka-ci/core/ids',
    'packages/core/src/ids.ts',
  ),
  plant(
    'cli-imports-only-itself-process-protocol',
    'packages/cli/src/b.ts',
    '@eka-ci/server/server',
    `${server}/server.ts`,
  ),
  plant(
    'packages-are-imported-by-name',
    'packages/nix/src/b.ts',
    '../../core/src/ids.ts',
    'packages/core/src/ids.ts',
  ),
  plant('packages-stand-alone', 'packages/core/src/f.ts', '../../../bench/main.ts', 'bench/main.ts'),
  plant(
    'only-tests-and-tools-see-fakes',
    'packages/server/src/forge/d.ts',
    '../../../../fakes/github/start.ts',
    'fakes/github/start.ts',
  ),
  plant('only-tests-and-tools-see-fakes', 'bench/a.ts', '../fakes/github/start.ts', 'fakes/github/start.ts'),
  plant('fakes-import-only-process', 'fakes/a.ts', '@eka-ci/core/ids', 'packages/core/src/ids.ts'),
  plant('fakes-import-only-process', 'fakes/b.ts', '../bench/main.ts', 'bench/main.ts'),
  plant('tools-are-below-e2e-and-bench', 'tools/a.ts', '../bench/main.ts', 'bench/main.ts'),
  plant('lib-knows-no-domain', `${server}/lib/a.ts`, '@eka-ci/core/ids', 'packages/core/src/ids.ts'),
  plant('lib-knows-no-domain', `${server}/lib/b.ts`, '../config/config.ts', `${server}/config/config.ts`),
  plant('config-is-below-ports', `${server}/config/a.ts`, '../forge/forge.ts', `${server}/forge/forge.ts`),
  plant(
    'credentials-are-below-ports',
    `${server}/credentials/a.ts`,
    '../forge/forge.ts',
    `${server}/forge/forge.ts`,
  ),
  plant(
    'only-credentials-see-sources',
    `${server}/pipeline/h.ts`,
    '../credentials/sources/vault.ts',
    `${server}/credentials/sources/vault.ts`,
  ),
  plant(
    'ports-are-below-pipeline',
    `${server}/forge/a.ts`,
    '../pipeline/pipeline.ts',
    `${server}/pipeline/pipeline.ts`,
  ),
  plant('ports-are-below-pipeline', `${server}/forge/b.ts`, '../http/app.ts', `${server}/http/app.ts`),
  plant('ports-ignore-each-other', `${server}/forge/github/a.ts`, '../../git/git.ts', `${server}/git/git.ts`),
  plant(
    'drivers-ignore-each-other',
    `${server}/forge/gitea/a.ts`,
    '../github/parse.ts',
    `${server}/forge/github/parse.ts`,
  ),
  plant(
    'kysely-sees-only-its-migrations',
    `${server}/database/kysely/a.ts`,
    '../memory/a.ts',
    `${server}/database/memory/a.ts`,
  ),
  plant(
    'only-composition-roots-see-drivers',
    `${server}/pipeline/a.ts`,
    '../forge/github/github.ts',
    `${server}/forge/github/github.ts`,
  ),
  plant(
    'only-composition-roots-see-drivers',
    `${server}/forge/c.ts`,
    './github/github.ts',
    `${server}/forge/github/github.ts`,
  ),
  plant(
    'only-composition-roots-see-drivers',
    `${server}/b.ts`,
    './forge/github/github.ts',
    `${server}/forge/github/github.ts`,
  ),
  plant('pipeline-is-below-http', `${server}/pipeline/b.ts`, '../http/app.ts', `${server}/http/app.ts`),
  plant('pipeline-is-below-http', `${server}/pipeline/c.ts`, '../server.ts', `${server}/server.ts`),
  plant('pipeline-is-below-http', `${server}/pipeline/g.ts`, '../auth/auth.ts', `${server}/auth/auth.ts`),
  plant(
    'auth-is-beside-pipeline',
    `${server}/auth/a.ts`,
    '../pipeline/pipeline.ts',
    `${server}/pipeline/pipeline.ts`,
  ),
  plant('auth-is-beside-pipeline', `${server}/auth/b.ts`, '../http/app.ts', `${server}/http/app.ts`),
  plant('http-is-below-composition', `${server}/http/a.ts`, '../server.ts', `${server}/server.ts`),
  plant('http-is-below-composition', `${server}/http/b.ts`, '../wiring/a.ts', `${server}/wiring/a.ts`),
  plant('wiring-is-below-composition', `${server}/wiring/a.ts`, '../server.ts', `${server}/server.ts`),
  plant(
    'production-imports-no-test-code',
    `${server}/pipeline/d.ts`,
    '../forge/forge.fake.ts',
    `${server}/forge/forge.fake.ts`,
  ),
  plant(
    'production-imports-no-test-code',
    `${server}/pipeline/e.ts`,
    'vitest',
    'node_modules/vitest/dist/index.js',
  ),
];

const support = {
  'packages/core/src/b.ts': "export type { A } from './a.ts';\n",
  [`${server}/database/memory/a.ts`]: 'export const value = 1;\n',
};

const forms: Readonly<Record<string, (target: string) => string>> = {
  'a value import': (target) => `import { value } from '${target}';\nexport const a = value;\n`,
  'a type-only import': (target) => `import type { A } from '${target}';\nexport type B = A;\n`,
  'a type-only re-export': (target) => `export type { A } from '${target}';\n`,
  'a star re-export': (target) => `export * from '${target}';\n`,
  'a side-effect import': (target) => `import '${target}';\n`,
  'a dynamic import': (target) => `export const a = import('${target}');\n`,
};

interface Rules {
  readonly default: { readonly forbidden: readonly { readonly name: string }[] };
}

describe('boundaries', () => {
  it('has a plant for every rule', async () => {
    const rules = (await import(join(repositoryRoot, '.dependency-cruiser.mjs'))) as Rules;
    const names = rules.default.forbidden.map(({ name }) => name);
    expect(new Set(plants.map(({ rule }) => rule))).toEqual(new Set(names));
  });

  it.each(Object.entries(forms))('finds every forbidden arrow in the form of %s', async (_, write) => {
    const files = plants.map(({ from, imports }) => [from, write(imports)] as const);
    const result = await check({ ...support, ...Object.fromEntries(files) });
    expect(result.ok).toBe(false);
    const lines = result.output.split('\n');
    const isFound = ({ rule, from, to }: Plant): boolean =>
      lines.some((line) => line.startsWith(`${rule}: ${from} → `) && line.endsWith(to));
    const missed = plants.filter((one) => !isFound(one));
    expect(missed).toEqual([]);
  });

  it('fails when it looked at a file that is no source of the project', async () => {
    const ignored = {
      '.gitignore': 'node_modules/\ndist/\n',
      'packages/core/dist/ids.ts': 'export const a = 1;\n',
    };
    const output = 'not a source of the project: packages/core/dist/ids.ts';
    expect(await check(ignored)).toMatchObject({ ok: false, output });
  });

  it('fails when the tool did not look at a source, as it does where it cannot read TypeScript', async () => {
    const rules = await skeleton.read('.dependency-cruiser.mjs');
    const blind = rules.replace("exclude: { path: '", "exclude: { path: '^packages/core/|");
    const result = await check({ '.dependency-cruiser.mjs': blind });
    expect(result).toMatchObject({ ok: false, output: 'not looked at: packages/core/src/ids.ts' });
  });

  it('fails on a tree without any source', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'eka-ci-empty-'));
    await runProgram(empty, 'git', ['init', '--quiet']);
    expect(await checkBoundaries(empty)).toMatchObject({ ok: false });
    await rm(empty, { recursive: true });
  });
});
