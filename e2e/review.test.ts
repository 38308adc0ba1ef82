// `ekaci review` as its users run it: real git, real Nix, a real process; good input and bad.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateSet } from '@eka-ci/nix/evaluator/testing/generated-set';
import { runChild } from '@eka-ci/process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Files } from './testing/repository.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.remove());

const containing = (text: string): unknown => expect.stringContaining(text);

const config = JSON.stringify({ jobs: { packages: { file: 'default.nix' } } });

/** A package set of one line a package, in the given order. */
const packages = (...lines: readonly string[]): Files => ({
  '.eka-ci/config.json': config,
  'default.nix': [
    'let package = name: script: derivation {',
    '  inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];',
    '}; in rec {',
    ...lines,
    '}',
  ].join('\n'),
});

const repositoryWith = (base: Files, change: Files) =>
  createRepository(join(world.folder, 'repository'), base).then(async (repository) => {
    await repository.branch('change', change);
    return repository;
  });

const hello = `  hello = package "hello-1.0" "echo one > $out";`;
const helloTwo = `  hello = package "hello-2.0" "echo two > $out";`;

it('names all of 40 uncatchable failures among 2,000 attributes, each with message and position', {
  timeout: 120_000,
}, async () => {
  const set = generateSet(2000, 40);
  const repository = await repositoryWith(
    { '.eka-ci/config.json': config, 'default.nix': '{ }' },
    { 'default.nix': set.text },
  );
  const { status, summary } = await world.review(repository.path, '--head', 'change', '--no-build');
  expect(status).toBe(1);
  const outcomes = summary.jobs[0]?.outcomes ?? [];
  const unevaluable = outcomes.filter(({ kind }) => kind === 'newly-unevaluable');
  expect(unevaluable.map(({ attr }) => attr)).toEqual([...set.failing.keys()]);
  for (const { attr, evaluation } of unevaluable) {
    expect(evaluation?.message).toContain(set.failing.get(attr)?.message);
    expect(evaluation?.position).toMatchObject({ file: 'default.nix', line: set.failing.get(attr)?.line });
  }
  expect(summary.jobs[0]?.attributes.added).toBe(1960);
});

it('a hostile package set that traces made-up records changes nothing', async () => {
  const forged = '{\\"attr\\":\\"forged\\",\\"drvPath\\":\\"/nix/store/x.drv\\"}';
  const trace = `builtins.trace "00000000000000000000000000000000 0 D 0 ${forged}"`;
  const repository = await repositoryWith(
    packages(hello),
    packages(
      `  hello = ${trace} (package "hello-2.0" (${trace} "echo two > $out"));`,
      `  forged = throw "refused";`,
    ),
  );
  const { status, summary } = await world.review(repository.path, '--head', 'change');
  expect(status).toBe(1);
  const job = summary.jobs[0];
  expect(job?.packageChanges.map(({ attr, primary }) => [attr, primary?.kind])).toEqual([
    ['forged', 'Unevaluable'],
    ['hello', 'VersionBump'],
  ]);
});

it('prints Markdown, plain progress in a pipe, and keeps logs where it is told to', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  const logs = join(world.folder, 'logs');
  const run = await world.ekaci(
    'review',
    repository.path,
    '--head',
    'change',
    '--markdown',
    '--keep-logs',
    logs,
  );
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('hello');
  expect(run.stdout).toContain('2.0');
  expect(run.stderr).toMatch(/^checked out change/m);
  expect(run.stderr).toMatch(/^evaluated judged of packages: 1 attribute, 0 failing$/m);
  expect(run.stderr).toMatch(/^\[1\/1\] succeeded hello-2\.0/m);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a pipe gets no terminal sequence
  expect(run.stderr).not.toMatch(/\u001b/);
  expect((await readdir(logs, { recursive: true })).some((name) => name.includes('hello-2.0'))).toBe(true);
  expect(await readdir(world.temporary)).toEqual([]);
});

it('judges the head as it is when no merge is wanted', async () => {
  const repository = await repositoryWith(
    packages(hello),
    packages(hello, `  extra = package "extra-1" "echo > $out";`),
  );
  await repository.commit('main moves on', packages(helloTwo));
  const merged = await world.review(repository.path, '--head', 'change', '--no-build', '--no-merge');
  const kinds = merged.summary.jobs[0]?.packageChanges.map(({ attr, primary }) => [attr, primary?.kind]);
  expect(kinds).toEqual([
    ['extra', 'Added'],
    ['hello', 'VersionBump'],
  ]);
});

it('judges the jobs of a flake', async () => {
  const flake = (version: string): Files => ({
    '.eka-ci/config.json': JSON.stringify({ flake: { packages: { enable: true } } }),
    'flake.nix': `{ outputs = { self }: { packages.x86_64-linux.tool = derivation {
      name = "tool-${version}"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${version} > $out" ];
    }; }; }`,
  });
  const repository = await repositoryWith(flake('1.0'), flake('1.1'));
  const { status, summary } = await world.review(repository.path, '--head', 'change', '--no-build');
  expect(status).toBe(0);
  expect(summary.jobs[0]).toMatchObject({ job: 'flake.packages', attributes: { changed: 1 } });
});

/** What /proc tells of every process of this machine, as one text. */
const ofEveryProcess = async (what: 'cmdline' | 'environ'): Promise<string> => {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = ids.map((id) => readFile(join('/proc', id, what), 'utf8').catch(() => ''));
  return (await Promise.all(lines)).join('\n');
};

const refusals: readonly (readonly [what: string, files: Files, said: RegExp])[] = [
  ['no configuration file', { '.eka-ci/config.json': null }, /no \.eka-ci\/config\.json.*commit one such as/],
  [
    'a configuration that does not parse',
    { '.eka-ci/config.json': '{ "jobs": ' },
    /\.eka-ci\/config\.json:1:\d+: /,
  ],
  ['no job at all', { '.eka-ci/config.json': '{}' }, /names no job/],
];

it.each(refusals)('%s: no verdict, and what to do', async (_what, files, said) => {
  const repository = await repositoryWith(packages(hello), files);
  const run = await world.ekaci('review', repository.path, '--head', 'change');
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(said);
});

it('a file that leaves the checkout, one with a syntax error and one that is gone fail their jobs with the reason', async () => {
  const jobs = {
    escapes: { file: 'escapes.nix' },
    broken: { file: 'broken.nix' },
    gone: { file: 'gone.nix' },
  };
  const repository = await repositoryWith(packages(hello), {
    '.eka-ci/config.json': JSON.stringify({ jobs }),
    'escapes.nix': { link: '/etc/passwd' },
    'broken.nix': '{ hello = ; }',
  });
  const { status, summary } = await world.review(repository.path, '--head', 'change');
  expect(status).toBe(1);
  const why = Object.fromEntries(summary.jobs.map(({ job, notJudged }) => [job, notJudged]));
  expect(why['escapes']).toMatch(/escapes\.nix/);
  expect(why['broken']).toMatch(/syntax error.*broken\.nix:1/s);
  expect(why['gone']).toMatch(/gone\.nix/);
});

it('a change that deletes a job is no safe change, and one whose base ran out of memory no judged one', async () => {
  const both = JSON.stringify({ jobs: { packages: { file: 'default.nix' }, tools: { file: 'tools.nix' } } });
  const repository = await repositoryWith(
    { ...packages(hello), '.eka-ci/config.json': both, 'tools.nix': '{ }' },
    { 'tools.nix': null, '.eka-ci/config.json': config },
  );
  const removed = await world.review(repository.path, '--head', 'change', '--no-build');
  expect(removed.status).toBe(2);
  expect(removed.summary.jobs.find(({ job }) => job === 'tools')?.notJudged).toMatch(/takes this job out/);

  const eats = `builtins.foldl' (all: i: all ++ builtins.genList (x: { inherit x i; }) 200000) [ ] (builtins.genList (i: i) 400)`;
  await repository.commit('a heavy base', packages(`  hello = builtins.deepSeq (${eats}) hello;`));
  await repository.branch('repair', packages(`  hello = throw "a new mistake";`));
  const judged = await world.review(repository.path, '--head', 'repair', '--no-build', '--max-memory', '256');
  expect(judged.status).toBe(1);
  expect(judged.summary.jobs[0]?.outcomes).toMatchObject([{ attr: 'hello', kind: 'newly-unevaluable' }]);
});

it('output that cannot be written is no verdict', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  const main = join(import.meta.dirname, '../packages/cli/src/ekaci.mjs');
  const command = `"${process.execPath}" "${main}" review "${repository.path}" --head change --no-build -q`;
  for (const shell of [`${command} > /dev/full`, `set -o pipefail; ${command} --markdown | true`]) {
    const run = await runChild({ command: 'bash', args: ['-c', shell], env: world.env });
    expect([shell, run.code]).not.toEqual([shell, 1]);
    expect(run.stderr).not.toContain('node:');
  }
});

it('a merge conflict: no verdict, and the files that conflict, of which a name does a terminal no harm', async () => {
  const name = 'x\u001b]0;title\u0007\u001b[2J';
  const repository = await repositoryWith(
    { ...packages(hello), [name]: 'one' },
    { ...packages(helloTwo), [name]: 'two' },
  );
  const helloThree = packages(`  hello = package "hello-3.0" "echo three > $out";`);
  await repository.commit('main moves on', { ...helloThree, [name]: 'three' });
  const run = await world.ekaci('review', repository.path, '--head', 'change');
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(/conflict.*default\.nix/s);
  expect(run.stderr).toContain('title');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
  expect(run.stderr).not.toMatch(/[\u0007\u001b]/);
});

it('wrong folders, revisions, jobs and options: one clear sentence and status 2', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  const empty = join(world.folder, 'empty');
  await mkdir(empty);
  const said = async (...args: readonly string[]): Promise<string> => {
    const run = await world.ekaci('review', ...args);
    expect(run.code).toBe(2);
    return run.stderr;
  };
  expect(await said(empty)).toContain('not');
  expect(await said(repository.path, '--head', 'chagne')).toContain('change');
  expect(await said(repository.path, '--head', 'change', '--job', 'pakages')).toContain(
    'the jobs are: packages',
  );
  expect(await said(repository.path, '--workers', 'many')).toContain('a whole number from 1 to');
});

it('a temporary folder that cannot be used, and a folder for logs that cannot be made: what to do', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  await writeFile(join(world.folder, 'file'), '');
  const logs = await world.ekaci(
    'review',
    repository.path,
    '--head',
    'change',
    '--keep-logs',
    join(world.folder, 'file/logs'),
  );
  expect(logs.code).toBe(2);
  expect(logs.stderr).toMatch(/file\/logs.*choose another/);
  const missing = join(world.folder, 'missing');
  const run = await world.ekaciWith({ TMPDIR: missing }, 'review', repository.path, '--head', 'change');
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(/TMPDIR/);
  expect(await readdir(world.temporary)).toEqual([]);
});

it('a temporary folder with a name longer than a socket may have, and one on a full disk', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  const long = join(world.folder, 'l'.repeat(120));
  await mkdir(long);
  const args = ['review', repository.path, '--head', 'change', '--no-build'];
  const run = await world.ekaciWith({ TMPDIR: long }, ...args);
  expect([run.code, run.stdout]).toEqual([0, containing('1.0 → 2.0')]);
  expect(await readdir(long)).toEqual([]);
  const main = join(import.meta.dirname, '../packages/cli/src/ekaci.mjs');
  const small = ['--dev-bind', '/', '/', '--size', '100000', '--tmpfs', world.temporary];
  const full = await runChild({
    command: 'bwrap',
    args: [...small, process.execPath, main, ...args],
    env: world.env,
  });
  expect([full.code, full.stdout]).toEqual([2, '']);
  expect(full.stderr).toMatch(/^ekaci review: .*full.*free/);
});

it('says that what is not committed is not judged, where that could be meant', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  await writeFile(join(repository.path, 'default.nix'), 'not committed');
  const said = async (...args: readonly string[]): Promise<string> =>
    (await world.ekaci('review', repository.path, '--no-build', ...args)).stderr;
  const warning = /^warning: the working tree has changes that are not committed: they are not judged$/m;
  expect(await said()).toMatch(warning);
  expect(await said('--head', 'change')).not.toMatch(warning);
});

it('no Nix installed: how to get it', async () => {
  const repository = await repositoryWith(packages(hello), packages(helloTwo));
  const bin = join(world.folder, 'bin');
  await mkdir(bin);
  const git = await runChild({
    command: 'sh',
    args: ['-c', 'command -v git'],
    env: { PATH: world.env['PATH'] ?? '' },
  });
  await writeFile(join(bin, 'git'), `#!/bin/sh\nexec ${git.stdout.trim()} "$@"\n`, { mode: 0o755 });
  const run = await world.ekaciWith({ PATH: bin }, 'review', repository.path, '--head', 'change');
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(/apt-get install nix-bin/);
});

it('Ctrl-C ends every child and leaves nothing behind', async () => {
  const marker = join(world.folder, 'started');
  const forever = `  slow = package "slow-1" "echo > ${marker}; while :; do :; done";`;
  const repository = await repositoryWith(packages(hello), packages(hello, forever));
  const review = await world.start('review', repository.path, '--head', 'change');
  review.stdout.resume();
  let said = '';
  review.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await expect.poll(() => readdir(world.folder), { timeout: 30_000 }).toContain('started');
  process.kill(review.pid, 'SIGINT');
  const exit = await review.exited;
  expect(said).toContain('cancelled');
  expect(exit.code).toBe(130);
  expect(await readdir(world.temporary)).toEqual([]);
  const left = await runChild({
    command: 'ps',
    args: ['-eo', 'args'],
    env: { PATH: world.env['PATH'] ?? '' },
  });
  expect(left.stdout).not.toContain(marker);
});

it('when it is killed nothing is left running, and nothing lies about', async () => {
  const marker = join(world.folder, 'started');
  const forever = `  slow = package "slow-1" "echo > ${marker}; while :; do :; done";`;
  const repository = await repositoryWith(packages(hello), packages(hello, forever));
  const review = await world.start('review', repository.path, '--head', 'change');
  for (const stream of [review.stdout, review.stderr]) stream.resume();
  await expect.poll(() => readdir(world.folder), { timeout: 30_000 }).toContain('started');
  process.kill(review.pid, 'SIGKILL');
  await review.exited;
  // The server's command line does not name the world that it runs in, its environment does.
  await expect.poll(() => ofEveryProcess('environ'), { timeout: 30_000 }).not.toContain(world.folder);
  expect(await readdir(world.temporary)).toEqual([]);
});

it('Ctrl-C at any moment: the same', { timeout: 120_000 }, async () => {
  const busy = Array.from(
    { length: 30 },
    (_, index) => `  p${index} = package "p-${index}" "echo ${index} > $out";`,
  );
  const repository = await repositoryWith(packages(hello), packages(hello, ...busy));
  const moments = ['', 'checked out', 'evaluated', 'planned', 'building p-', '[9/'];
  for (const moment of moments) {
    const review = await world.start('review', repository.path, '--head', 'change', '--max-jobs', '1');
    review.stdout.resume();
    let said = '';
    const reached = new Promise<void>((resolve) => {
      review.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes(moment)) resolve();
      });
      if (moment === '') setTimeout(resolve, 150);
    });
    await Promise.race([reached, review.exited]);
    process.kill(review.pid, 'SIGINT');
    const exit = await review.exited;
    // Before it has begun to listen, the signal itself ends it: a shell calls both 130.
    expect([moment, exit.signal === 'SIGINT' ? 130 : exit.code]).toEqual([moment, 130]);
    expect(await readdir(world.temporary)).toEqual([]);
    expect(await ofEveryProcess('cmdline')).not.toContain(world.folder);
  }
});
