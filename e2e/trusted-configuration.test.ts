// From ekaci.toml to bytes: every source of credentials and every kind of cache, and where none of their secrets may be.
import { createHash } from 'node:crypto';
import { chmod, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import {
  findCanaries,
  type RecordedPrograms,
  recordPrograms,
  searchDatabase,
  searchFolder,
  watchDescendants,
} from './testing/secret-search.ts';
import { configureServer, databasePath, serverProcess, until } from './testing/server.ts';
import { startToldServer, type ToldServer } from './testing/told-server.ts';
import { expectHosted, expectMachine, expectPushed, narinfosIn } from './testing/trusted-bytes.ts';
import type { PlacedCache } from './testing/trusted-place.ts';
import { createPlaces, type Places, whatIsMissing } from './testing/trusted-places.ts';

const missing = Object.entries(await whatIsMissing()).filter(([, why]) => why !== null);
const leftOut = missing.map(([kind, why]) => `; left out: ${kind}, because ${why}`).join('');

/** One package that needs another to run. */
const packageSet = `let
  shell = name: script: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  };
  library = shell "library" "echo library > $out";
in { tool = shell "tool" "set; echo \${library} > $out; \${builtins.readFile ./end.sh}"; }`;

const checks = { spy: { command: 'env; cat /proc/*/environ /proc/*/cmdline | tr "\\0" "\\n"; echo looked' } };

/** Tells everything that it was given, and writes down the names alone. */
const hookScript = `#!/bin/sh
names=$(cat /proc/$$/environ | tr '\\n\\0' ' \\n' | cut -d= -f1 | sort | tr '\\n' ' ')
digest=$(printf '%s%s' "$HOOK_TOKEN" "$GITHUB_APP_PRIVATE_KEY" | sha256sum | cut -d' ' -f1)
printf '%s %s %s %s\\n' "$1" "$EKA_PNAME" "$digest" "$names" >> "$2"
echo "I was given $HOOK_TOKEN."
echo "$GITHUB_APP_PRIVATE_KEY"
`;

const programs = ['git', 'bwrap', 'ssh', 'nix', 'nix-store', 'nix-daemon'];

let world: World;
let places: Places;
let repository: Repository;
let recorded: RecordedPrograms;
let configFile: string;
let hookToken: string;
let server: ToldServer;

const cacheEntry = ({ id, type, destination, credentials }: PlacedCache): string =>
  [
    '[[caches]]',
    `id = "${id}"`,
    `cache_type = "${type}"`,
    `destination = ${JSON.stringify(destination)}`,
    `credentials = ${credentials}`,
    'permissions = { allow_all = false, allowed_repos = ["demo/*"], allowed_branches = ["main"] }',
    '',
  ].join('\n');

const hookRecord = (): string => join(places.folder, 'hooks');

const hookEntry = (id: string, credentials: string): string =>
  [
    '[[hooks]]',
    `id = "${id}"`,
    `command = ${JSON.stringify([join(world.folder, 'hook.sh'), id, hookRecord()])}`,
    'on = ["success", "failure"]',
    `credentials = ${credentials}`,
    '',
  ].join('\n');

const configure = async (): Promise<string> => {
  const file = await configureServer(world, repository.path);
  const { keyFile } = places.app;
  const lines = [
    '[security]',
    'allow_private_cache_hosts = true',
    'audit_hooks = true',
    '[[branches]]',
    'pattern = "main"',
    'build = "all"',
    ...places.caches.map(cacheEntry),
    hookEntry(
      'app',
      `{ github-app-key-file = { app_id_env = "APP_ID", key_file = ${JSON.stringify(keyFile)} } }`,
    ),
    hookEntry('token', '{ env = { vars = ["HOOK_TOKEN"] } }'),
  ];
  await writeFile(file, lines.join('\n'), { flag: 'a' });
  return file;
};

beforeAll(async () => {
  const made = await createWorld();
  places = await createPlaces(made);
  hookToken = places.secrets.word('token of the hook');
  const found = programs.flatMap((name) => {
    const path = findProgram(name);
    return path === null ? [] : [[name, path] as const];
  });
  recorded = await recordPrograms(join(places.folder, 'programs'), Object.fromEntries(found));
  // The others of Nix are looked for beside this one, which is shown to evaluations alone.
  const instantiate = findProgram('nix-instantiate') ?? '';
  await symlink(await realpath(instantiate), join(recorded.folder, 'nix-instantiate'));
  const PATH = [recorded.folder, places.cachix.folder, places.attic.folder, made.env['PATH']].join(':');
  world = {
    ...made,
    env: { ...made.env, ...places.env, PATH, HOOK_TOKEN: hookToken, EKA_CI_LOG: 'debug' },
  };
  repository = await createRepository(join(world.folder, 'set'), {
    'default.nix': packageSet,
    'end.sh': 'exit 0',
    '.eka-ci/config.json': JSON.stringify({
      jobs: {
        packages: {
          file: 'default.nix',
          caches: places.caches.map(({ id }) => id),
          hooks: ['app', 'token'],
        },
      },
      checks,
    }),
  });
  await writeFile(join(world.folder, 'hook.sh'), hookScript);
  await chmod(join(world.folder, 'hook.sh'), 0o755);
  configFile = await configure();
  server = await startToldServer(world, configFile);
});
afterAll(async () => {
  await server?.end('SIGTERM');
  await places?.letAtticGo();
  // What outlived a kill ends by itself now.
  for (const { pid } of (await places?.seen()) ?? []) {
    await until(async () => ((await isThere(pid)) ? null : true));
  }
  await places?.remove();
  await world?.remove();
});

const isThere = (pid: number): Promise<boolean> =>
  readFile(`/proc/${pid}/cmdline`, 'latin1').then(
    (command) => command.includes(places.folder),
    () => false,
  );

const isFull = async ({ held }: PlacedCache): Promise<boolean> =>
  held === null || narinfosIn(await held()).size === 2;

const hooksRun = async (): Promise<readonly string[]> =>
  (await readFile(hookRecord(), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

/** What it says to everybody: each is there to be read. */
const answersOf = async (paths: readonly string[]): Promise<string> => {
  const asked = ['/v1/status', '/v1/prs', '/v1/repositories', '/v1/builders', ...paths];
  const answers = await Promise.all(asked.map((path) => server.ask(path)));
  expect(asked.filter((_, index) => !answers[index]?.startsWith('200 '))).toEqual([]);
  return answers.join('\n');
};

const untilJudged = (branch: string) =>
  until(async () => {
    const found = (await server.changes()).find((one) => one.branch === branch);
    return found?.state === 'judged' ? server.change(found.number) : null;
  });

const waiting = async (): Promise<number> => {
  const status = await server.ask('/v1/status');
  return [...status.matchAll(/"waiting":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
};

/** Both of them, well. */
const untilHooksEnded = (drv: string) =>
  until(async () => {
    const runs = await server.ask(`/v1/drvs/${drv}/hooks`);
    return runs.match(/"state":"succeeded"/g)?.length === 2 ? true : null;
  });

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Each had its own secret, whole, and none of another. */
const expectHooks = async (): Promise<void> => {
  const key = (await readFile(places.app.keyFile, 'utf8')).trim();
  const own = { app: ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY'], token: ['HOOK_TOKEN'] };
  const secret = { app: digestOf(key), token: digestOf(hookToken) };
  for (const id of ['app', 'token'] as const) {
    const lines = (await hooksRun()).map((line) => line.trim().split(' ')).filter(([hook]) => hook === id);
    expect(lines.map(([, name = '']) => name).toSorted()).toEqual(['library', 'tool', 'tool']);
    for (const [, , digest, ...names] of lines) {
      expect(digest).toBe(secret[id]);
      const given = names.filter((name) =>
        /TOKEN|GITHUB|AWS|VAULT|NIX_SIGNING|CREDENTIALS|APP_|CACHIX/.test(name),
      );
      expect(given).toEqual(own[id]);
    }
  }
};

/** Each was where it is used or comes from: what is looked for can be found. */
const expectSearchFinds = async (): Promise<void> => {
  const { canaries } = places.secrets;
  const inFiles = (await searchFolder(canaries, places.folder)).map((line) => line.split(' in /')[0]);
  const found = new Set([...inFiles, ...findCanaries(canaries, places.told())]);
  // Nobody writes down the one; of the other the hook told its digest.
  const unwritten = ['login of the web server, in base64', 'token of the hook'];
  const wanted = canaries.map(({ name }) => name).filter((name) => !unwritten.includes(name));
  expect(found).toEqual(new Set(wanted));
};

it(`every source and every kind of cache: from ekaci.toml to bytes, and no secret anywhere else${leftOut}`, {
  timeout: 120_000,
}, async () => {
  const { canaries } = places.secrets;
  const { args, ...rest } = serverProcess(world, configFile);
  const checking = runChild({ ...rest, args: [...args, '--check-config'] });

  // All but Attic, whose program waits.
  await until(async () => {
    const full = await Promise.all(places.caches.map(isFull));
    const calls = [await places.attic.calls(), await places.cachix.calls()];
    const areCalled = calls.every((list) => list.length > 0);
    return full.every(Boolean) && areCalled && (await hooksRun()).length === 4 ? true : null;
  });
  await until(async () => ((await waiting()) === 1 ? true : null));
  const whole = await expectPushed(places);
  await expectMachine(places, whole);
  await untilHooksEnded(whole.drv);
  // It has a temporary folder, too.
  const checked = await checking;
  const children = await watchDescendants((command) => command.includes(configFile)).end();
  expect(children.map(({ command }) => command).join('\n')).toContain('attic push');
  const settings = (await searchFolder(canaries, world.temporary)).join('\n');
  expect(settings).toMatch(/^token of attic in \S+attic\/config\.toml$/);
  const answers = [await answersOf([`/v1/logs/${whole.drv}`, `/v1/drvs/${whole.drv}/hooks`])];
  const said = [server.said()];

  const begun = (await places.attic.calls()).length;
  await server.end('SIGKILL');
  expect(await searchFolder(canaries, join(world.folder, 'state'))).toEqual([]);
  server = await startToldServer(world, configFile);
  await until(async () => ((await places.attic.calls()).length > begun ? true : null));
  await places.letAtticGo();
  await until(async () => ((await waiting()) === 0 ? true : null));
  await expectHosted(places, whole);

  await repository.branch('broken', { 'end.sh': 'exit 3' });
  const broken = await untilJudged('broken');
  expect(broken.conclusion).toBe('failure');
  await until(async () => ((await hooksRun()).length === 6 ? true : null));
  await expectHooks();
  const failing = /[0-9a-z]{32}-tool\.drv/.exec(JSON.stringify(broken.summary?.jobs))?.[0] ?? '';
  await untilHooksEnded(failing);
  const [check] = broken.summary?.checks ?? [];
  expect(check).toMatchObject({ name: 'spy', outcome: 'passed' });
  const logs = [whole.drv, failing].flatMap((drv) => [
    ...[`/v1/logs/${drv}`, `/v1/drvs/${drv}`, `/v1/drvs/${drv}/hooks`],
    ...[`/v1/logs/${drv}/hooks/app`, `/v1/logs/${drv}/hooks/token`],
  ]);
  const summaries = ['change-summary', 'change-summary.md', 'jobs'].map(
    (name) => `/v1/commits/${broken.headSha}/${name}`,
  );
  answers.push(
    await answersOf([
      ...[...logs, ...summaries, `/v1/prs/git/demo/package-set/${broken.number}`],
      `/v1/checks/${check?.id ?? ''}/log`,
    ]),
  );
  expect(await server.ask(`/v1/logs/${whole.drv}/hooks/token`)).toContain('\nI was given [redacted].\n');
  expect(await server.ask(`/v1/logs/${failing}/hooks/app`)).toMatch(
    /\nI was given \.\n-----BEGIN PRIVATE KEY-----\n(?:\[redacted\]\n)+-----END PRIVATE KEY-----\n/,
  );
  expect(checked.stdout).toMatch(/caches "managed" +aws-secrets-manager +works +NIX_SIGNING_KEY/);

  await server.end('SIGTERM');
  said.push(server.said(), checked.stdout, checked.stderr);
  expect(findCanaries(canaries, answers.join('\n'))).toEqual([]);
  expect(findCanaries(canaries, said.join('\n'))).toEqual([]);
  expect(said[0]).toContain('"audit":"cache-push"');
  const calls = await recorded.calls();
  const used = new Set(calls.map(({ program }) => program));
  expect(programs.filter((program) => !used.has(program))).toEqual(places.machine === null ? ['ssh'] : []);
  expect(findCanaries(canaries, JSON.stringify(calls))).toEqual([]);
  expect(findCanaries(canaries, children.map(({ command }) => command).join('\n'))).toEqual([]);
  expect(findCanaries(canaries, JSON.stringify(await places.seen()))).toEqual([]);
  const kept = searchDatabase(canaries, databasePath(world));
  expect(kept.found).toEqual([]);
  expect(kept.rows).toBeGreaterThan(50);
  expect(await searchFolder(canaries, world.folder)).toEqual([]);
  await expectSearchFinds();
});
