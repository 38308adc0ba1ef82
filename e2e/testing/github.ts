// A GitHub that is not one, with a repository, its people and our app, and a real server that is told of it.
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { ChangeDetail } from '@eka-ci/protocol/change';
import { createWorld, type World } from './ekaci.ts';
import { databasePath, startServer, type TestServer, until, webhookSecret } from './server.ts';

export const repository = 'octo/pkgs';

/** Packages that have nothing to do with each other. */
const packageSet = `let
  shell = name: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
  };
in { alpha = shell "alpha"; beta = shell "beta"; }`;

/** `alpha.sh` and `beta.sh` build them. */
const files = {
  'default.nix': packageSet,
  'alpha.sh': 'echo alpha > $out',
  'beta.sh': 'echo beta > $out',
  '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
};

const [read, write] = ['read', 'write'] as const;
export const permissions = {
  ...{ checks: write, contents: write, pull_requests: write, issues: write, workflows: write },
  ...{ actions: read, merge_queues: read, members: read, metadata: read },
};

const events = [
  ...['pull_request', 'push', 'check_run', 'check_suite', 'issue_comment', 'repository', 'merge_group'],
  ...['pull_request_review', 'workflow_run'],
];

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** What all gates of a change say that is well, and of one whose `alpha` fails. */
export const green = { EkaCI: 'success', 'EkaCI: packages': 'success', 'EkaCI change summary': 'neutral' };
export const red = {
  ...green,
  ...{ EkaCI: 'failure', 'EkaCI: packages': 'failure', 'EkaCI: packages: alpha': 'failure' },
};

export interface GithubTownOptions {
  /** Top-level lines of ekaci.toml. */
  readonly settings?: readonly string[];
  /** Tables at its end. */
  readonly tables?: readonly string[];
  /** Beside the credentials of the app. */
  readonly env?: Readonly<Record<string, string>>;
  /** People can sign in, as with the app. @default false */
  readonly signIn?: boolean;
}

/** Who is who: alice owns `octo`, carol may write to its `octo/pkgs`, bob has a fork of it. */
export interface GithubTown {
  readonly world: World;
  readonly github: FakeGitHub;
  readonly control: FakeGitHub['control'];
  readonly app: {
    readonly id: number;
    readonly privateKey: string;
    readonly clientId: string;
    readonly clientSecret: string;
    /** At `octo`. */
    readonly installation: number;
  };
  readonly port: number;
  readonly configFile: string;
  /** The one that was started last; null before. */
  server(): TestServer | null;
  start(): Promise<TestServer>;
  /** What the forge shows of a commit: `name: conclusion or status`. Of one name there is one. */
  checksOf(sha: string): Promise<Record<string, string>>;
  untilShown(sha: string, wanted: Readonly<Record<string, string>>): Promise<Record<string, string>>;
  changeOf(number: number): Promise<ChangeDetail>;
  /** After each test: nothing is out of order, and all that was asked and answered is as GitHub's document has it. */
  expectCalm(): Promise<void>;
  remove(): Promise<void>;
}

const configure = async (
  { world, github, port }: Pick<GithubTown, 'world' | 'github' | 'port'>,
  { settings = [], tables = [] }: GithubTownOptions,
): Promise<string> => {
  const file = join(world.folder, 'ekaci.toml');
  const lines = [
    `db_path = ${JSON.stringify(databasePath(world))}`,
    `logs_dir = ${JSON.stringify(join(world.folder, 'state', 'logs'))}`,
    ...settings,
    ...['[web]', `port = ${port}`],
    ...['[unix]', `socket_path = ${JSON.stringify(join(world.folder, 'ekaci.socket'))}`],
    ...['[evaluation]', 'workers = 1', '[disk]', 'min_free_mib = 64'],
    ...['[[github_apps]]', 'id = "main"', `api_url = ${JSON.stringify(github.apiUrl)}`],
    'credentials = { env = { vars = ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY"] } }',
    ...tables,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
};

/** @returns our app, installed at `octo` */
export const populate = async ({ control }: FakeGitHub, port: number): Promise<GithubTown['app']> => {
  for (const login of ['alice', 'bob', 'carol']) await control.createUser({ login });
  await control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
  await control.createRepository({ owner: 'octo', name: 'pkgs', files });
  await control.setRole({ repository, user: 'carol', role: 'write' });
  await control.fork({ repository, owner: 'bob' });
  const app = await control.createApp({
    ...{ slug: 'eka-ci', owner: 'octo', permissions, events },
    ...{ hookUrl: `http://127.0.0.1:${port}/github/webhook`, hookSecret: webhookSecret },
    callbackUrls: [`http://127.0.0.1:${port}/github/auth/callback`],
  });
  const { id: installation } = await control.install({ app: app.id, account: 'octo' });
  return { ...app, installation };
};

export const createGithubTown = async (options: GithubTownOptions = {}): Promise<GithubTown> => {
  const world = await createWorld();
  const github = await startFakeGitHub();
  const { control } = github;
  const port = await freePort();
  const configFile = await configure({ world, github, port }, options);
  const app = await populate(github, port);
  let server: TestServer | null = null;
  const checksOf: GithubTown['checksOf'] = async (sha) => {
    const runs = await control.readChecks({ repository, sha });
    const names = runs.map(({ name }) => name);
    if (new Set(names).size < names.length) throw new Error(`a gate is there twice: ${names.join(', ')}`);
    return Object.fromEntries(runs.map(({ name, status, conclusion }) => [name, conclusion ?? status]));
  };
  return {
    ...{ world, github, control, app, port, configFile, checksOf },
    server: () => server,
    async start() {
      const credentials = { GITHUB_APP_ID: String(app.id), GITHUB_APP_PRIVATE_KEY: app.privateKey };
      const { clientId, clientSecret } = app;
      const oauth = { GITHUB_OAUTH_CLIENT_ID: clientId, GITHUB_OAUTH_CLIENT_SECRET: clientSecret };
      const env = { ...world.env, ...credentials, ...(options.signIn === true && oauth), ...options.env };
      server = await startServer({ ...world, env }, configFile);
      return server;
    },
    untilShown: (sha, wanted) =>
      until(async () => {
        const shown = await checksOf(sha);
        return Object.entries(wanted).every(([name, state]) => shown[name] === state) ? shown : null;
      }),
    changeOf: async (number) =>
      ChangeDetail.parse(await server?.get(`/v1/prs/github/${repository}/${number}`)),
    async expectCalm() {
      await control.clearFaults({});
      await control.setWebhookMode({ mode: 'deliver' });
      const violations = await control.readViolations({});
      if (violations.length > 0) throw new Error(`violations: ${JSON.stringify(violations, null, 2)}`);
    },
    async remove() {
      await server?.stop();
      await github.stop();
      await world.remove();
    },
  };
};
