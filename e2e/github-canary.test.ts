// Secrets of every kind that a server of GitHub's has to do with, and a story in which each is used; then they are looked
// for in all that is kept, told, shown or logged.
import { access, mkdtemp } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestBrowser } from './testing/browser.ts';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import {
  type Canary,
  findCanaries,
  type RecordedPrograms,
  recordPrograms,
  searchDatabase,
  searchFolder,
  watchDescendants,
} from './testing/secret-search.ts';
import { databasePath, until, webhookSecret } from './testing/server.ts';

const jwtSecret = 'canary-of-the-session-secret-9876543210';
const metricsToken = 'canary-of-the-metrics-token-9876543210';

const known = ['git', 'bwrap', 'nix-store', 'nix-daemon'];
const names = ['GITHUB_APP_PRIVATE_KEY', 'WEBHOOK_SECRET', 'JWT_SECRET', 'GITHUB_OAUTH_CLIENT_SECRET'];

let town: GithubTown;
let folder: string;
let programs: RecordedPrograms;
let canaries: readonly Canary[];

const realPrograms = async (): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const name of known) {
    for (const place of (process.env['PATH'] ?? '').split(':')) {
      const path = join(place, name);
      const isThere = await access(path).then(
        () => true,
        () => false,
      );
      if (isThere) found[name] ??= path;
    }
  }
  return found;
};

/** Some of its middle: neither line breaks nor escapes are there. */
const lineOf = (pem: string): string => pem.split('\n')[3] ?? '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ekaci-canary-'));
  programs = await recordPrograms(folder, await realPrograms());
  town = await createGithubTown({
    signIn: true,
    settings: ['admins = ["github:alice"]'],
    env: {
      PATH: `${programs.folder}:${process.env['PATH'] ?? ''}`,
      ...{ JWT_SECRET: jwtSecret, EKA_CI_WEB__METRICS_TOKEN: metricsToken, EKA_CI_LOG: 'debug' },
    },
  });
  const { privateKey, clientSecret } = town.app;
  canaries = [
    { name: 'key of the app', pattern: lineOf(privateKey) },
    { name: 'secret of webhooks', pattern: webhookSecret },
    { name: 'secret of signing in', pattern: clientSecret },
    { name: 'secret of sessions', pattern: jwtSecret },
    { name: 'token of metrics', pattern: metricsToken },
    { name: 'token of an installation', pattern: /ghs_[A-Za-z0-9]{8}/ },
    // As git is given it: base64 of `x-access-token:ghs`.
    { name: 'token for git', pattern: Buffer.from('x-access-token:ghs').toString('base64') },
    { name: 'token of a person', pattern: /gh[uor]_[A-Za-z0-9]{8}/ },
    { name: 'signed token', pattern: /eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16}/ },
  ];
  for (const { pattern } of canaries) expect(String(pattern).length).toBeGreaterThan(15);
  await town.start();
}, 60_000);
afterAll(async () => {
  await town.remove();
  await removeTree(folder);
});

/** Over the socket, as an administrator. */
const ask = async (path: string): Promise<Answer> => {
  const socketPath = join(town.world.folder, 'ekaci.socket');
  const answer = Promise.withResolvers<Answer>();
  const asked = request({ socketPath, path }, (response) => {
    const { statusCode: status = 0 } = response;
    // Cookies are for who signs in, and for nobody else.
    const headers = JSON.stringify({ ...response.headers, 'set-cookie': null });
    text(response).then((body) => answer.resolve({ status, headers, body }), answer.reject);
  });
  asked.on('error', answer.reject).end();
  return answer.promise;
};

interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Everything that may be read of it, one of each kind. */
const walkApi = async (samples: Readonly<Record<string, string>>) => {
  const { paths } = JSON.parse((await ask('/v1/openapi.json')).body) as Described;
  const found: string[] = [];
  const statuses = new Map<string, number>();
  for (const path of Object.keys(paths).filter((one) => 'get' in (paths[one] ?? {}))) {
    const asked = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => samples[name] ?? 'nothing');
    const query = path.endsWith('/search') ? '?q=alpha' : '';
    const { status, headers, body } = await ask(`${asked}${query}`);
    statuses.set(path, status);
    found.push(...findCanaries(canaries, headers + body).map((name) => `${name} in ${path}`));
  }
  return { found, statuses };
};

const spy = `let
  told = builtins.concatStringsSep "-" (map builtins.getEnv ${JSON.stringify(names).replaceAll(',', ' ')});
  shell = name: derivation {
    inherit name told; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
  };
in { alpha = shell "alpha"; beta = shell "beta"; gamma = throw "told: \${told}"; }`;

it('leaves no secret anywhere', { timeout: 180_000 }, async () => {
  const { control, world } = town;
  const watch = watchDescendants((command) => command.includes(town.configFile));
  const browser = createTestBrowser();
  await control.signIn({ user: 'alice' });
  const address = town.server()?.address ?? '';
  await browser.open(`${address}/github/auth/login?return_to=/v1/healthz`);
  const made = await browser.send('POST', `${address}/v1/users/me/tokens`, { name: 'the test' });
  expect(made.status).toBe(201);

  // GitHub fails and complains meanwhile, so that faults are told of.
  for (const status of [500, 401, 403]) {
    await control.addFault({ method: 'GET', path: '/pulls/', times: 1, fault: { kind: 'status', status } });
  }
  const { sha } = await control.push({
    ...{ repository, branch: 'spy', from: 'main', by: 'alice' },
    files: { 'default.nix': spy, 'alpha.sh': 'set; /bin/sleep 2; exit 1', 'beta.sh': 'set; echo > $out' },
  });
  const { number } = await control.openPull({ repository, head: 'spy', by: 'alice' });
  await control.comment({ repository, number, body: '@eka-ci help', by: 'alice' });
  await town.untilShown(sha, { 'EkaCI: packages': 'in_progress' });
  // While work folders are there.
  expect(await searchFolder(canaries, world.folder)).toEqual([]);
  await town.untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: alpha': 'failure' });
  const well = await control.push({
    ...{ repository, branch: 'well', from: 'main', by: 'alice' },
    files: { 'beta.sh': 'set; echo well > $out' },
  });
  await control.openPull({ repository, head: 'well', by: 'alice' });
  await town.untilShown(well.sha, green);
  await until(async () => ((await control.readComments({ repository, number })).length > 1 ? true : null));

  const change = await town.changeOf(number);
  const drv = change.summary?.jobs[0]?.outcomes
    .find(({ attr }) => attr === 'alpha')
    ?.drvPath?.split('/')
    .at(-1);
  const { found, statuses } = await walkApi({
    ...{ forge: 'github', owner: 'octo', repo: 'pkgs', number: String(number), sha, attr: 'alpha' },
    ...{ drv: drv ?? '', id: `${change.id}.0`, file: 'pkgs.svg' },
  });
  expect(found).toEqual([]);
  // What was asked was there to be read.
  expect([...statuses.values()].filter((status) => status === 200).length).toBeGreaterThan(25);
  expect([...statuses].filter(([, status]) => status >= 500)).toEqual([]);

  const runs = [
    ...(await control.readChecks({ repository, sha })),
    ...(await control.readChecks({ repository, sha: well.sha })),
    ...(await control.readComments({ repository, number })),
  ];
  expect(runs.length).toBeGreaterThan(5);
  expect(findCanaries(canaries, JSON.stringify(runs))).toEqual([]);

  const children = await watch.end();
  await town.server()?.stop();
  expect(findCanaries(canaries, town.server()?.log() ?? '')).toEqual([]);
  expect(await searchFolder(canaries, world.folder)).toEqual([]);
  const kept = searchDatabase(canaries, databasePath(world));
  expect(kept.found).toEqual([]);
  expect(kept.rows).toBeGreaterThan(50);

  const calls = await programs.calls();
  expect([...new Set(calls.map(({ program }) => program))]).toEqual(expect.arrayContaining(['git', 'bwrap']));
  // Those that live long enough to be met: what builds, and what it builds.
  for (const met of [/nix-daemon/, /^sh -c set; .*sleep 2/]) {
    expect(children.filter(({ command }) => met.test(command)).length).toBeGreaterThan(0);
  }
  for (const { command } of [...calls, ...children]) expect(findCanaries(canaries, command)).toEqual([]);
  const toldOf = (told: readonly { readonly env: string }[]) => [
    ...new Set(told.flatMap(({ env }) => findCanaries(canaries, env))),
  ];
  // Git alone is given what it needs to fetch, where nobody else can read it.
  const isGit = ({ command }: { readonly command: string }) =>
    /^(?:\/bin\/sh )?\S*\bgit(?:-remote-http)? /.test(command);
  const gits = calls.filter(({ program }) => program === 'git');
  expect(toldOf(calls.filter(({ program }) => program !== 'git'))).toEqual([]);
  expect(toldOf(children.filter((one) => !isGit(one)))).toEqual([]);
  expect(toldOf([...gits, ...children.filter(isGit)])).toEqual(['token for git']);
  // What was used is what was looked for.
  const asked = (await control.readRequests({})).map(({ principal }) => principal.split(' ')[0]);
  expect(new Set(asked)).toEqual(new Set(['app', 'installation', 'nobody', 'user']));
});
