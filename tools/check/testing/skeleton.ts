// A small tree that is laid out like the project and checked by its real configuration: tests plant violations in it.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { repositoryRoot, runProgram } from '../../program.ts';

export interface Skeleton {
  readonly root: string;
  readonly read: (file: string) => Promise<string>;
  /** Adds files or replaces them while `work` runs; a key is a path from the skeleton's root. */
  readonly withPlanted: <T>(files: Readonly<Record<string, string>>, work: () => Promise<T>) => Promise<T>;
  readonly remove: () => Promise<void>;
}

const configuration = [
  '.dependency-cruiser.mjs',
  '.gitignore',
  '.oxlintrc.json',
  'biome.json',
  'knip.json',
  'package.json',
  'tsconfig.base.json',
  'tsconfig.json',
  'vitest.config.ts',
  // That configuration names it.
  'tools/test/patience.ts',
];

const packages: Readonly<Record<string, readonly string[]>> = {
  core: [],
  process: [],
  nix: ['core', 'process'],
  protocol: ['core'],
  server: ['core', 'nix', 'process', 'protocol'],
  cli: ['process', 'protocol'],
};

const manifest = (name: string, dependencies: readonly string[]): string => {
  const entries = dependencies.map((dependency) => [`@eka-ci/${dependency}`, '0.1.0']);
  const content = {
    name: `@eka-ci/${name}`,
    version: '0.1.0',
    private: true,
    type: 'module',
    exports: name === 'bench' || name === 'fakes' ? {} : { './*': './src/*.ts' },
    dependencies: Object.fromEntries(entries) as Record<string, string>,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
};

const value = (name: string, imports: readonly string[] = []): string => {
  const lines = imports.map((from, index) => `import { value as u${index} } from '${from}';\n`);
  const result =
    imports.length === 0 ? `'${name}'.length` : imports.map((_, index) => `u${index}`).join(' + ');
  return `// ${name}.\n${lines.join('')}${lines.length > 0 ? '\n' : ''}export const value = ${result};\n`;
};

const program = (imports: readonly string[]): string =>
  value('program', imports).replace('export const value = ', 'process.exitCode = ');

/** Every arrow that is allowed is drawn here once: a rule that forbids too much fails the clean skeleton. */
const sources: Readonly<Record<string, string>> = {
  'packages/core/src/ids.ts': value('ids'),
  'packages/process/src/run.ts': value('run'),
  'packages/nix/src/store.ts': value('store', ['@eka-ci/core/ids', '@eka-ci/process/run']),
  'packages/protocol/src/review.ts': value('review', ['@eka-ci/core/ids']),
  'packages/cli/src/main.ts': program(['@eka-ci/process/run', '@eka-ci/protocol/review']),
  'packages/server/src/lib/clock.ts': value('clock'),
  'packages/server/src/config/config.ts': value('config', ['@eka-ci/core/ids', '../lib/clock.ts']),
  'packages/server/src/credentials/credentials.ts': value('credentials', [
    '../config/config.ts',
    '../lib/clock.ts',
    './sources/vault.ts',
  ]),
  'packages/server/src/credentials/sources/vault.ts': value('vault'),
  'packages/server/src/forge/forge.ts': value('forge', [
    '../config/config.ts',
    '../credentials/credentials.ts',
    '../lib/clock.ts',
  ]),
  'packages/server/src/forge/forge.fake.ts': value('fake', ['./forge.ts']),
  'packages/server/src/forge/github/github.ts': value('github', ['../forge.ts', './parse.ts']),
  'packages/server/src/forge/github/parse.ts': value('parse'),
  'packages/server/src/forge/gitea/gitea.ts': value('gitea', ['../forge.ts']),
  'packages/server/src/git/git.ts': value('git', ['@eka-ci/process/run']),
  'packages/server/src/database/database.ts': value('database'),
  'packages/server/src/database/kysely/open.ts': value('open', ['../database.ts', '../migrations/first.ts']),
  'packages/server/src/database/migrations/first.ts': value('first'),
  'packages/server/src/pipeline/pipeline.ts': value('pipeline', [
    '@eka-ci/nix/store',
    '../credentials/credentials.ts',
    '../forge/forge.ts',
    '../git/git.ts',
  ]),
  'packages/server/src/auth/auth.ts': value('auth', ['../database/database.ts', '../forge/forge.ts']),
  'packages/server/src/http/app.ts': value('app', [
    '@eka-ci/protocol/review',
    '../auth/auth.ts',
    '../pipeline/pipeline.ts',
  ]),
  'packages/server/src/server.ts': value('server', [
    './database/kysely/open.ts',
    './forge/gitea/gitea.ts',
    './forge/github/github.ts',
    './http/app.ts',
  ]),
  'packages/server/src/main.ts': program(['./server.ts']),
  'packages/server/src/pipeline/pipeline.test.ts': program([
    '../forge/forge.fake.ts',
    '../forge/github/github.ts',
    './pipeline.ts',
  ]),
  'bench/main.ts': program(['@eka-ci/core/ids']),
  'fakes/github/main.ts': program(['@eka-ci/process/run']),
  'fakes/github/start.ts': value('start'),
  'fakes/github/start.test.ts': program(['./start.ts']),
  'fakes/github/api/extract.ts': '// Nothing.\nexport {};\n',
};

/** All that is installed, linked one by one: our own packages must be those of the skeleton. */
const linkModules = async (root: string): Promise<void> => {
  const installed = join(repositoryRoot, 'node_modules');
  await mkdir(join(root, 'node_modules/@eka-ci'), { recursive: true });
  const ours = new Set(['@eka-ci', '.cache', '.package-lock.json']);
  for (const entry of await readdir(installed)) {
    if (!ours.has(entry)) await symlink(join(installed, entry), join(root, 'node_modules', entry));
  }
  for (const name of Object.keys(packages)) {
    await symlink(join(root, 'packages', name), join(root, 'node_modules/@eka-ci', name));
  }
};

const layOut = async (root: string): Promise<void> => {
  for (const file of configuration) await cp(join(repositoryRoot, file), join(root, file));
  const folders = [
    ...Object.keys(packages).map((name) => `packages/${name}`),
    'fakes',
    'e2e',
    'bench',
    'tools',
  ];
  for (const folder of folders) {
    await mkdir(join(root, folder), { recursive: true });
    await cp(join(repositoryRoot, folder, 'tsconfig.json'), join(root, folder, 'tsconfig.json'));
  }
  await linkModules(root);
  const initialised = await runProgram(root, 'git', ['init', '--quiet']);
  if (initialised.code !== 0) throw new Error(`git init failed in ${root}: ${initialised.stderr}`);
};

const writeFiles = async (root: string, files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
};

const readIfThere = (file: string): Promise<string | null> => readFile(file, 'utf8').catch(() => null);

const plantFor = async <T>(
  root: string,
  files: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> => {
  const before = await Promise.all(
    Object.keys(files).map(async (file) => [file, await readIfThere(join(root, file))] as const),
  );
  try {
    await writeFiles(root, files);
    return await work();
  } finally {
    for (const [file, text] of before) {
      await (text === null ? rm(join(root, file), { force: true }) : writeFile(join(root, file), text));
    }
  }
};

export const createSkeleton = async (): Promise<Skeleton> => {
  const root = await mkdtemp(join(tmpdir(), 'eka-ci-skeleton-'));
  await layOut(root);
  const manifests = Object.entries(packages).map(
    ([name, dependencies]) => [`packages/${name}/package.json`, manifest(name, dependencies)] as const,
  );
  await writeFiles(root, {
    ...sources,
    ...Object.fromEntries(manifests),
    'bench/package.json': manifest('bench', ['core']),
    'fakes/package.json': manifest('fakes', ['process']),
    // The tools and the stories of the project are not part of the skeleton; their projects must not be empty.
    'tools/empty.test.ts': '// Nothing.\nexport {};\n',
    'e2e/empty.test.ts': '// Nothing.\nexport {};\n',
  });
  return {
    root,
    read: (file) => readFile(join(root, file), 'utf8'),
    withPlanted: (files, work) => plantFor(root, files, work),
    remove: () => rm(root, { recursive: true, force: true }),
  };
};
