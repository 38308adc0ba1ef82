// `ekaci review` of a package that fails once in a while: no reason to refuse a change, and nothing to be quiet about.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Files } from './testing/repository.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.remove());

/** `moody` fails whenever the mark is not there, and leaves it. */
const packageSet = (version: string, moody: string): Files => ({
  '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  'default.nix': `let package = name: script: derivation {
    name = "\${name}-${version}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  }; in rec {
    moody = package "moody" ${JSON.stringify(moody)};
    reader = package "reader" "read line < \${moody}; echo $line > $out";
    broken = package "broken" "echo it is broken; ${version === '1' ? 'echo > $out' : 'exit 1'}";
  }`,
});

it('builds what newly fails once more: flaky is not failing, and a failure that stays has both its logs', async () => {
  const mark = join(world.folder, 'mark');
  const moody = `echo no luck; test -e ${mark} && echo luck > $out || { : > ${mark}; exit 1; }`;
  const repository = await createRepository(
    join(world.folder, 'repository'),
    packageSet('1', 'echo calm > $out'),
  );
  await repository.branch('change', packageSet('2', moody));
  const logs = join(world.folder, 'logs');
  const { status, summary } = await world.review(repository.path, '--head', 'change', '--keep-logs', logs);
  expect(status).toBe(1);
  const rows = summary.jobs[0]?.outcomes.map(({ attr, kind, note }) => [attr, kind, note]);
  expect(rows).toEqual([
    ['broken', 'newly-failing', expect.stringMatching(/^failed twice; .* attempt 1 \(.*broken-2\.1\.log\)$/)],
    ['moody', 'flaky', expect.stringMatching(/^failed once, then built; once so far; .*moody-2\.1\.log\)$/)],
    ['reader', 'still-succeeding', null],
  ]);
  expect(summary.headline).toContain('1 package newly fails to build');
  const kept = (await readdir(logs, { recursive: true })).flatMap(
    (name) => /(broken|moody)-2\.[12](?=\.log)/.exec(name)?.[0] ?? [],
  );
  expect([...new Set(kept)].toSorted()).toEqual(['broken-2.1', 'broken-2.2', 'moody-2.1', 'moody-2.2']);
});
