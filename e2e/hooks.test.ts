// Hooks through the whole server: what runs after which build, for whom, and that its secret stays with it.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { findMarked, killMarked, type ProcessMark } from '@eka-ci/process';
import { HookRunPage } from '@eka-ci/protocol/hook';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { searchDatabase, searchFolder } from './testing/secret-search.ts';
import {
  configureServer,
  databasePath,
  startServer,
  type TestServer,
  until,
  webhookSecret,
} from './testing/server.ts';

const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

/** For a machine that has much else to do. */
const patience = { timeout: 30_000 };

const canary = 'canary-that-only-the-hook-may-see';

/** A package, and what it fetches. */
const packageSet = `let
  version = builtins.readFile ./version;
  system = builtins.currentSystem;
  source = derivation {
    name = "source-\${version}"; inherit system; builder = "/bin/sh"; args = [ "-c" "printf hello > $out" ];
    outputHashMode = "flat"; outputHashAlgo = "sha256";
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
in {
  alpha = derivation {
    name = "alpha-\${version}"; inherit system; builder = "/bin/sh"; src = source; outputs = [ "out" "dev" ];
    args = [ "-c" "echo built alpha; echo > $out; echo > $dev" ];
  };
}`;

const configNaming = (hooks: readonly string[]): string =>
  JSON.stringify({ jobs: { packages: { file: 'default.nix', hooks } } });

let world: World;
let repository: Repository;
let configFile: string;
let server: TestServer;

/** Writes down, as JSON, what it was told; then waits for its gate, where it has one. */
const hookScript = `#!/bin/sh
quote() { printf '"%s",' "$1"; }
hook="$1"; record="$2"; gate="$3"; shift 3
{ printf '{"hook":"%s","tokenLength":%s,"words":[' "$hook" "$(printf '%s' "$HOOK_TOKEN" | wc -c)"
  for word in "$@" "$EKA_JOB_NAME" "$EKA_IS_FOD" "$EKA_PNAME" "$EKA_COMMIT_SHA"; do quote "$word"; done
  printf '"%s"],"log":"%s","env":"%s"}\\n' "$DRV_PATH" "$(tr -d '\\n' < "$EKA_BUILD_LOG_PATH")" "$(env | cut -d= -f1 | tr '\\n' ' ')"
} > "$record.new.$$"; cat "$record.new.$$" >> "$record"; rm "$record.new.$$"
echo "my token is $HOOK_TOKEN"
if test -n "$gate"; then trap "" TERM; setsid sleep 300 & while ! test -e "$gate"; do sleep 0.1; done; fi
`;

const recordPath = (): string => join(world.folder, 'record');
const gatePath = (): string => join(world.folder, 'gate');

const hookEntry = (id: string, lines: readonly string[], gate = ''): string =>
  [
    '[[hooks]]',
    `id = "${id}"`,
    `command = ${JSON.stringify([join(world.folder, 'hook.sh'), id, recordPath(), gate, '$OUT_PATHS'])}`,
    'credentials = { env = { vars = ["HOOK_TOKEN"] } }',
    ...lines,
    '',
  ].join('\n');

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'set'), {
    'default.nix': packageSet,
    version: '1',
    '.eka-ci/config.json': configNaming(['record', 'sources', 'released']),
  });
  await repository.branch('alpha', {
    version: '2',
    '.eka-ci/config.json': configNaming(['record', 'sources', 'released', 'taken']),
  });
  await writeFile(join(world.folder, 'hook.sh'), hookScript);
  await chmod(join(world.folder, 'hook.sh'), 0o755);
  configFile = await configureServer(world, repository.path);
  const onMain =
    'permissions = { allow_all = false, allowed_repos = ["demo/*"], allowed_branches = ["main"] }';
  const hooks = [
    hookEntry('record', []),
    hookEntry('sources', ['on = ["fod"]']),
    hookEntry('released', [onMain], gatePath()),
    hookEntry('taken', []),
  ];
  await writeFile(configFile, hooks.join('\n'), { flag: 'a' });
  server = await start();
});
/** Processes of its hooks. */
const ofWorld = (): ProcessMark => ({ name: 'DRV_PATH', value: `${world.folder}/`, match: 'prefix' });

afterAll(async () => {
  await server.stop();
  await killMarked(ofWorld());
  await world.remove();
});

const start = (): Promise<TestServer> =>
  startServer({ ...world, env: { ...world.env, HOOK_TOKEN: canary } }, configFile);

/** As the script writes it. */
interface Recorded {
  readonly hook: string;
  readonly tokenLength: number;
  readonly words: readonly string[];
  readonly log: string;
  readonly env: string;
}

const recorded = async () => {
  const text = await readFile(recordPath(), 'utf8').catch(() => '');
  return text
    .trim()
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Recorded]));
};

const runsOf = async (drv: string) =>
  HookRunPage.parse(await server.get(`/v1/drvs/${basename(drv)}/hooks`)).runs;

it('runs what the base names, where its permissions let it, once for each build', {
  timeout: 120_000,
}, async () => {
  const change = await until(async () => {
    const [one] = await server.changes();
    return one?.state === 'judged' ? server.change(one.number) : null;
  });
  expect(change.conclusion).toBe('success');
  const first = await until(async () => {
    const all = await recorded();
    return all.length >= 3 ? all : null;
  });
  // What the change itself names runs for nobody; nor does what is for another branch.
  expect(first.map(({ hook, words }) => `${hook} ${words.at(-3)}`).toSorted()).toEqual([
    'record alpha',
    'record source',
    'sources source',
  ]);
  const alpha = first.find(({ words }) => words.includes('alpha'));
  const drv = (alpha?.words.at(-1) ?? '') as DrvPath;
  expect(drv).toMatch(/-alpha-2\.drv$/);
  expect(alpha?.words).toEqual([
    ...[matching(/-alpha-2-dev$/), matching(/-alpha-2$/)],
    ...['packages', 'false', 'alpha', change.headSha, drv],
  ]);
  expect(alpha).toMatchObject({ tokenLength: canary.length, log: 'built alpha' });
  expect(alpha?.env.trim().split(' ')).toContain('HOOK_TOKEN');
  expect(alpha?.env).not.toMatch(/WEBHOOK|JWT|NODE_/);
  const place = {
    branch: `pull/${change.number}`,
    job: 'packages',
    commit: change.headSha,
    build: 'succeeded',
  };
  await expect
    .poll(() => runsOf(drv), patience)
    .toMatchObject([{ hook: 'record', state: 'succeeded', exitStatus: 0, ...place }]);
  const info = await world.ekaci('drv', 'info', drv, '--server', server.address);
  expect(info.stdout).toMatch(/^record +1 +succeeded +\d+\S+ +packages of demo\/package-set, pull\/\d+$/m);
  const log = await fetch(`${server.address}/v1/logs/${basename(drv)}/hooks/record`);
  expect(await log.text()).toBe('my token is [redacted]\n');

  // On its branch the build is where more is permitted: what was built for the change counts there.
  await repository.git('merge', '--quiet', '--ff-only', 'alpha');
  const marked = () => findMarked(ofWorld());
  await expect.poll(async () => (await recorded()).map(({ hook }) => hook), patience).toContain('released');
  const [released] = (await recorded()).filter(({ hook }) => hook === 'released');
  expect(released?.words).toEqual(alpha?.words);
  await expect
    .poll(async () => (await runsOf(drv)).map(({ hook, state }) => `${hook} ${state}`), patience)
    .toEqual([...['taken succeeded', 'released running', 'record succeeded']]);
  const commands = await Promise.all(
    (await marked()).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  expect(commands.join('\n')).toContain('hook.sh');
  expect(commands.join('\n')).not.toContain(canary);

  await server.kill();
  server = await start();
  await expect.poll(marked, patience).toEqual([]);
  expect(await runsOf(drv)).toMatchObject([
    { hook: 'taken', state: 'succeeded' },
    { hook: 'released', state: 'interrupted', branch: 'main' },
    { hook: 'record', state: 'succeeded' },
  ]);
  const count = (await recorded()).length;

  await server.stop();
  expect((await recorded()).length).toBe(count);
  const audits = server
    .log()
    .split('\n')
    .filter((line) => line.includes('"audit":"hook"'));
  expect(audits).toHaveLength(1);
  const secret = [
    { name: 'the secret', pattern: canary },
    { name: 'another', pattern: webhookSecret },
  ];
  expect(searchDatabase(secret, databasePath(world)).found).toEqual([]);
  expect(await searchFolder(secret, join(world.folder, 'state'))).toEqual([]);
  expect(server.log()).not.toContain(canary);
});
