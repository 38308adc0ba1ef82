// Pull requests through the whole server: real git over HTTP, real Nix, and a GitHub that is not.
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { ChangeDetail } from '@eka-ci/protocol/change';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { databasePath, startServer, type TestServer, until, webhookSecret } from './testing/server.ts';

const repository = 'octo/pkgs';

/** Packages that have nothing to do with each other. */
const packageSet = `let
  shell = name: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
  };
in { alpha = shell "alpha"; beta = shell "beta"; }`;

const files = {
  'default.nix': packageSet,
  'alpha.sh': 'echo alpha > $out',
  'beta.sh': 'echo beta > $out',
  '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
};

const [read, write] = ['read', 'write'] as const;
const permissions = {
  ...{ checks: write, contents: write, pull_requests: write, issues: write, workflows: write },
  ...{ actions: read, merge_queues: read, members: read, metadata: read },
};

let world: World;
let github: FakeGitHub;
let configFile: string;
let server: TestServer | null = null;
let app: { readonly id: number; readonly privateKey: string };

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const configure = async (port: number): Promise<string> => {
  const file = join(world.folder, 'ekaci.toml');
  const lines = [
    `db_path = ${JSON.stringify(databasePath(world))}`,
    `logs_dir = ${JSON.stringify(join(world.folder, 'state', 'logs'))}`,
    ...[
      '[web]',
      `port = ${port}`,
      '[unix]',
      `socket_path = ${JSON.stringify(join(world.folder, 'ekaci.socket'))}`,
    ],
    ...['[evaluation]', 'workers = 1', '[disk]', 'min_free_mib = 64'],
    ...['[[github_apps]]', 'id = "main"', `api_url = ${JSON.stringify(github.apiUrl)}`],
    'credentials = { env = { vars = ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY"] } }',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
};

const start = async (): Promise<TestServer> => {
  const credentials = { GITHUB_APP_ID: String(app.id), GITHUB_APP_PRIVATE_KEY: app.privateKey };
  server = await startServer({ ...world, env: { ...world.env, ...credentials } }, configFile);
  return server;
};

beforeAll(async () => {
  world = await createWorld();
  github = await startFakeGitHub();
  const { control } = github;
  for (const login of ['alice', 'bob']) await control.createUser({ login });
  await control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
  await control.createRepository({ owner: 'octo', name: 'pkgs', files });
  await control.fork({ repository, owner: 'bob' });
  const port = await freePort();
  configFile = await configure(port);
  app = await control.createApp({
    ...{ slug: 'eka-ci', owner: 'octo', permissions },
    events: ['pull_request', 'push', 'check_run', 'issue_comment', 'repository'],
    ...{ hookUrl: `http://127.0.0.1:${port}/github/webhook`, hookSecret: webhookSecret },
  });
  await control.install({ app: app.id, account: 'octo' });
});
afterEach(async () => {
  await github.control.clearFaults({});
  await github.control.setWebhookMode({ mode: 'deliver' });
  expect(await github.control.readViolations({})).toEqual([]);
});
afterAll(async () => {
  await server?.stop();
  await github.stop();
  await world.remove();
});

/** What the forge shows of a commit: `name: conclusion or status`. */
const checksOf = async (sha: string): Promise<Record<string, string>> => {
  const runs = await github.control.readChecks({ repository, sha });
  // Of one name there is one.
  expect(new Set(runs.map(({ name }) => name)).size).toBe(runs.length);
  return Object.fromEntries(runs.map(({ name, status, conclusion }) => [name, conclusion ?? status]));
};

const untilShown = (sha: string, wanted: Readonly<Record<string, string>>) =>
  until(async () => {
    const shown = await checksOf(sha);
    return Object.entries(wanted).every(([name, state]) => shown[name] === state) ? shown : null;
  });

const green = { EkaCI: 'success', 'EkaCI: packages': 'success', 'EkaCI change summary': 'neutral' };
const red = {
  ...green,
  ...{ EkaCI: 'failure', 'EkaCI: packages': 'failure', 'EkaCI: packages: alpha': 'failure' },
};

const changeOf = async (number: number): Promise<ChangeDetail> =>
  ChangeDetail.parse(await server?.get(`/v1/prs/github/${repository}/${number}`));

it('judges a pull request: red, fixed, green', { timeout: 120_000 }, async () => {
  await start();
  const { control } = github;
  const push = (text: string, from: string | null = null) =>
    control.push({ repository, branch: 'topic', files: { 'alpha.sh': text }, from, by: 'alice' });
  await push('echo broken; exit 1', 'main');
  const pull = await control.openPull({ repository, head: 'topic', title: 'New alpha', by: 'alice' });
  expect(await untilShown(pull.headSha, red)).toEqual(red);
  const runs = await control.readChecks({ repository, sha: pull.headSha });
  const summary = runs.find(({ name }) => name === 'EkaCI change summary');
  expect(summary?.output.summary).toContain('alpha');
  const fixed = await push('echo new alpha > $out');
  expect(await untilShown(fixed.sha, green)).toEqual(green);
  expect(await changeOf(pull.number)).toMatchObject({
    state: 'judged',
    conclusion: 'success',
    headSha: fixed.sha,
  });
});

it('judges again at the press of a button', { timeout: 120_000 }, async () => {
  const { control } = github;
  const { sha } = await control.push({
    ...{ repository, branch: 'once-more', from: 'main', by: 'alice' },
    files: { 'beta.sh': 'echo broken beta; exit 1' },
  });
  const { number } = await control.openPull({ repository, head: 'once-more', by: 'alice' });
  await untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: beta': 'failure' });
  const judgedAtMs = (await changeOf(number)).updatedAtMs;
  const run = (await control.readChecks({ repository, sha })).find(({ name }) => name === 'EkaCI');
  await control.rerequestRun({ run: run?.id ?? 0, by: 'alice' });
  await until(async () => {
    const { state, updatedAtMs } = await changeOf(number);
    return state === 'judged' && updatedAtMs > judgedAtMs ? true : null;
  });
  await untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: beta': 'failure' });
});

it('finds what webhooks did not tell, from forks too, when it starts', { timeout: 120_000 }, async () => {
  await server?.stop();
  const { control } = github;
  await control.setWebhookMode({ mode: 'lose' });
  const { sha } = await control.push({
    ...{ repository: 'bob/pkgs', branch: 'main', by: 'bob' },
    files: { 'beta.sh': 'echo beta by bob > $out' },
  });
  const pull = await control.openPull({ repository, head: 'main', from: 'bob/pkgs', by: 'bob' });
  await start();
  await untilShown(sha, green);
  expect(await changeOf(pull.number)).toMatchObject({ branch: `pull/${pull.number}`, conclusion: 'success' });
});

it('shows each gate once, however GitHub fails meanwhile', { timeout: 120_000 }, async () => {
  const { control } = github;
  for (const [status, takesEffect] of [
    [502, false],
    [503, true],
  ] as const) {
    await control.addFault({
      ...{ method: 'POST', path: '/check-runs$', times: 2, takesEffect },
      fault: { kind: 'status', status },
    });
  }
  await control.setWebhookMode({ mode: 'double' });
  const { sha } = await control.push({
    ...{ repository, branch: 'flaky-forge', from: 'main', by: 'alice' },
    files: { 'beta.sh': 'echo beta, once more > $out' },
  });
  await control.openPull({ repository, head: 'flaky-forge', by: 'alice' });
  expect(await untilShown(sha, green)).toEqual(green);
});

it('ends what was closed, and what a forced push replaced', { timeout: 120_000 }, async () => {
  const { control } = github;
  const slow = { 'alpha.sh': 'echo slow; /bin/sleep 600; echo > $out' };
  const first = await control.push({ repository, branch: 'slow', files: slow, from: 'main', by: 'alice' });
  const pull = await control.openPull({ repository, head: 'slow', by: 'alice' });
  await untilShown(first.sha, { 'EkaCI: packages': 'in_progress' });
  const second = await control.push({
    ...{ repository, branch: 'slow', from: 'main', by: 'alice' },
    files: { 'alpha.sh': 'echo slower; /bin/sleep 600; echo > $out' },
  });
  await untilShown(first.sha, { EkaCI: 'cancelled' });
  await untilShown(second.sha, { 'EkaCI: packages': 'in_progress' });
  await control.closePull({ repository, number: pull.number, by: 'alice' });
  await untilShown(second.sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  expect(await changeOf(pull.number)).toMatchObject({ state: 'closed' });
});

it('tells nobody the secrets that it was given', async () => {
  const said = server?.log() ?? '';
  const key = app.privateKey.split('\n')[1] ?? '';
  expect(key.length).toBeGreaterThan(20);
  expect(said).not.toContain(key);
  expect(said).not.toContain(webhookSecret);
  expect(said).not.toMatch(/ghs_[A-Za-z0-9]/);
});
