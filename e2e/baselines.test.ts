// Base branches through the whole server, over URLs: warm for the changes that join them, and what their moves concern.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RepositoryCommits } from '@eka-ci/protocol/repository';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';

/** Packages that have nothing to do with each other. */
const packageSet = `let
  shell = name: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
  };
in { alpha = shell "alpha"; beta = shell "beta"; }`;

let world: World;
let repository: Repository;
let server: TestServer;

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'set'), {
    'default.nix': packageSet,
    'alpha.sh': 'echo alpha > $out',
    'beta.sh': 'echo beta > $out',
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  });
  await repository.branch('alpha', { 'alpha.sh': 'echo new alpha > $out' });
  await repository.branch('beta', { 'beta.sh': 'echo new beta > $out' });
  await repository.branch('stable/1', { 'beta.sh': 'echo stable beta > $out' });
  const configFile = await configureServer(world, `file://${repository.path}`);
  await writeFile(configFile, '[[branches]]\npattern = "stable/**"\nbuild = "all"\n', { flag: 'a' });
  server = await startServer(world, configFile);
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

const commitsOf = async (branch: string) => {
  const query = `?branch=${encodeURIComponent(branch)}`;
  const path = `/v1/repositories/git/demo/package-set/commits${query}`;
  return RepositoryCommits.parse(await server.get(path)).commits;
};

/** The newest commit of a branch, once it is judged as `wanted` says. */
const judged = (branch: string, wanted: (base: string | null) => boolean = () => true) =>
  until(async () => {
    const [newest] = await commitsOf(branch);
    return newest?.state === 'judged' && wanted(newest.baseSha) ? newest : null;
  });

it('judges again what a move of the base concerns, and only that', { timeout: 240_000 }, async () => {
  const old = await repository.git('rev-parse', 'main');
  const [main, alpha, beta, stable] = await Promise.all(
    ['main', 'alpha', 'beta', 'stable/1'].map((name) => judged(name)),
  );
  expect(main).toMatchObject({ kind: 'baseline', number: 0, headSha: old, baseSha: null });
  expect(stable).toMatchObject({ kind: 'baseline', conclusion: 'success' });
  expect([alpha?.baseSha, beta?.baseSha]).toEqual([old, old]);
  expect((await server.changes()).map(({ branch }) => branch).toSorted()).toEqual(['alpha', 'beta']);

  await repository.commit('alpha again', {
    'notes.md': 'words',
    'alpha.sh': 'echo alpha; echo alpha > $out',
  });
  const moved = await repository.git('rev-parse', 'main');
  // The two edit one line: it cannot be merged any more, which the judgement against the new base finds.
  const conflict = await until(async () => {
    const [newest] = await commitsOf('alpha');
    return newest?.state === 'failed' ? newest : null;
  });
  expect(conflict.fault).toMatch(/^MERGE_CONFLICT: /);
  expect(await judged('main', (base) => base === old)).toMatchObject({ headSha: moved });

  // Taken back, it is a move again, and what was in conflict is judged once more.
  await repository.git('revert', '--no-edit', 'HEAD');
  const reverted = await repository.git('rev-parse', 'main');
  expect(await judged('alpha', (base) => base === reverted)).toMatchObject({ conclusion: 'success' });
  expect(await judged('beta')).toMatchObject({ baseSha: old, id: beta?.id });
  expect(await commitsOf('alpha')).toHaveLength(1);

  const status = await world.ekaci('status', '--server', server.address);
  expect(status.stdout).toMatch(
    /^repository +demo\/gone cannot be read, never seen: GIT_NOT_A_REPOSITORY: /m,
  );
  const baselines = await world.ekaci('changes', '--kind', 'baseline', '--server', server.address);
  expect(baselines.stdout).toMatch(/^demo\/package-set +0 +stable\/1 +\d+[sm] +success$/m);
});
