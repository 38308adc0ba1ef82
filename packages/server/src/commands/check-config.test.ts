import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillDefaults } from '../config/server-config-defaults.ts';
import { variableOf } from '../config/server-config-environment.ts';
import { isSecret, settingKeys } from '../config/server-config-keys.ts';
import { ServerConfigSchema } from '../config/server-config-schema.ts';
import { startFaults, startWarnings } from '../config/start-conditions.ts';
import { configFile, type Given, sourcesOf } from '../config/testing/config-sources.ts';
import { type CheckReport, checkConfig } from './check-config.ts';

const containing = (text: string): unknown => expect.stringContaining(text);
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

type Extent = Parameters<typeof checkConfig>[0]['extent'];

const check = (given: Given, extent: Extent = 'everything'): Promise<CheckReport> => {
  // Without programs, unless a test names some: a sandbox is tried as it is found.
  const { flags, ...surroundings } = sourcesOf({ ...given, env: { PATH: '/nowhere', ...given.env } });
  return checkConfig({ kind: 'check-config', flags, extent }, surroundings);
};

const secret = 'canary-0123456789-canary';
const all = ({ found, complaints }: CheckReport): string => `${found}${complaints}`;

describe('--check-config', () => {
  it('prints every key with its value and its origin, and status 0', async () => {
    const toml = '[web]\nport = 8080\n[[git_repositories]]\nname = "o/r"\nurl = "/r"';
    const report = await check({ toml, env: { WEBHOOK_SECRET: secret }, argv: ['--addr', '::1'] });
    expect(report).toMatchObject({ status: 0, complaints: '' });
    for (const name of settingKeys.keys())
      expect(report.found).toMatch(new RegExp(`^${name}(\\[0\\])? = `, 'm'));
    const lines = report.found.split('\n').map((line) => line.replace(/ {2,}/, ' '));
    expect(lines).toContain(`Configuration file: ${configFile}`);
    expect(lines).toContain(`web.port = 8080 # ${configFile}:2`);
    expect(lines).toContain('web.address = "::1" # flag --addr');
    expect(lines).toContain('web.public_url = "http://[::1]:8080" # default');
    expect(lines).toContain('database_url = unset # default');
    expect(lines).toContain('security.webhook_secret = ["[redacted]"] # environment WEBHOOK_SECRET');
    expect(lines).toContain(
      `git_repositories[0] = {"name":"o/r","url":"/r","base_branch":"main","poll_interval_seconds":30} # ${configFile}:3`,
    );
    expect(lines).toContain('The configuration is valid.');
    expect(report.found).toMatch(/^Checks of repositories are refused: .*bubblewrap/m);
  });

  it('prints what is wrong, and status 1', async () => {
    const report = await check({ toml: 'web.port = -1\nwbe = 1' });
    expect(report.status).toBe(1);
    expect(report.complaints.split('\n')).toHaveLength(3);
    expect(report.complaints).toMatch(/^error: \/etc\/ekaci\.toml:1: web\.port: must be/);
  });

  it('says which hooks have no program, and runs none', async () => {
    const entry = (id: string, program: string): string =>
      `[[hooks]]\nid = "${id}"\ncommand = ["${program}", "$OUT_PATHS"]\n`;
    const env = { WEBHOOK_SECRET: secret, PATH: '/usr/bin:/bin' };
    const found = await check({ toml: entry('a', 'sh') + entry('b', '/bin/sh'), env });
    expect(found).toMatchObject({ status: 0, complaints: '' });
    expect(found.found).toContain('hooks "b": /bin/sh after success, for at most 300 s\n');
    expect(found.found).toMatch(
      /^The sandbox of checks works:\n {2}|^Checks of repositories are refused: ./m,
    );
    const toml = entry('a', 'no-such-program') + entry('b', '/nowhere/x') + entry('c', '/etc/passwd');
    const report = await check({ toml, env }, 'no-credentials');
    expect(report.status).toBe(1);
    expect(report.complaints.split('\n')).toEqual([
      containing('error: hooks "a": its program no-such-program is in no folder of PATH'),
      'error: hooks "b": its program /nowhere/x does not exist',
      'error: hooks "c": its program /etc/passwd is not executable for this user: chmod +x',
      '',
    ]);
  });

  it('refuses what could not start; leaves secrets out where it is asked to', async () => {
    const report = await check({});
    expect(report).toMatchObject({
      status: 1,
      complaints: containing('error: there is no webhook'),
    });
    expect(report.found).not.toContain('The configuration is valid.');
    expect(await check({}, 'no-credentials')).toMatchObject({ status: 0, complaints: '' });
    const insecure = await check({ toml: 'security.allow_insecure_webhooks = true' });
    expect(insecure).toMatchObject({
      status: 0,
      complaints: matching(/^warning: webhooks are taken/),
    });
  });

  it('tells the machines that build, and the lines that cannot be read', async () => {
    const path = '/etc/nix/machines';
    const text = 'ssh-ng://ci@far x86_64-linux,i686-linux /key 8 2 kvm,big big\nssh://near\nfar - - many\n';
    const report = await check({ files: { [path]: text } }, 'no-credentials');
    expect(report).toMatchObject({
      status: 0,
      complaints: matching(/^warning: \/etc\/nix\/machines: line 3 has "many".*passed over\n$/),
    });
    const lines = report.found.split('\n');
    expect(lines).toContain(`2 machines in ${path}:`);
    expect(lines).toContain(
      '  far: x86_64-linux, i686-linux; 8 jobs; speed 2; features kvm, big (mandatory); as ci; its host key is left to ssh',
    );
    expect(lines).toContain('  near: the system of this server; 1 job; its host key is left to ssh');
    expect(lines).toContain('  line 2: near is spoken to as with ssh-ng://');
    // Only the one that nobody named may be missing.
    expect(await check({}, 'no-credentials')).toMatchObject({ status: 0, complaints: '' });
    const named = { toml: 'builders.machines_file = "/my/machines"' };
    expect(await check(named, 'no-credentials')).toMatchObject({
      status: 1,
      complaints: 'error: builders.machines_file: /my/machines does not exist\n',
    });
    expect((await check(named, 'syntax')).status).toBe(0);
  });

  it('asks every credential source, and never shows what it gave', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    const toml =
      '[[github_apps]]\nid = "main"\ncredentials = { env = { vars = ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY"] } }';
    const env = { WEBHOOK_SECRET: secret, GITHUB_APP_ID: '7', GITHUB_APP_PRIVATE_KEY: pem };
    const good = await check({ toml, env });
    expect(good).toMatchObject({ status: 0, complaints: '' });
    expect(good.found).toContain(
      'credentials:\n  github_apps "main"  env  works  GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY\n',
    );
    expect(all(good)).not.toContain(pem.split('\n')[1]);
    const broken = { ...env, GITHUB_APP_PRIVATE_KEY: secret };
    expect(await check({ toml, env: broken })).toMatchObject({
      status: 1,
      complaints: 'error: github_apps "main": GITHUB_APP_PRIVATE_KEY is no private key in PEM\n',
    });
    expect(await check({ toml, env: { WEBHOOK_SECRET: secret, GITHUB_APP_ID: '7' } })).toMatchObject({
      status: 1,
      complaints: containing('the variable GITHUB_APP_PRIVATE_KEY is not set'),
    });
    expect(await check({ toml, env: { WEBHOOK_SECRET: secret } }, 'no-credentials')).toMatchObject({
      status: 0,
    });
  });

  it('tells who can sign in, and never with what', async () => {
    const toml = 'admins = ["github:alice"]\n[web]\npublic_url = "https://ci.example.com"';
    const env = {
      ...{ WEBHOOK_SECRET: secret, GITHUB_OAUTH_CLIENT_ID: 'Iv1.abc' },
      ...{ GITHUB_OAUTH_CLIENT_SECRET: secret, JWT_SECRET: secret },
    };
    const report = await check({ toml, env });
    expect(report).toMatchObject({ status: 0, complaints: '' });
    expect(report.found).toContain(
      'sign-in: as Iv1.abc, back to https://ci.example.com/github/auth/callback; admins: github:alice\n',
    );
    expect(report.found).toMatch(/^oauth\.jwt_secret = \[redacted\] +# environment JWT_SECRET$/m);
    expect(all(report)).not.toContain('canary');
    const { GITHUB_OAUTH_CLIENT_SECRET: _, ...without } = env;
    expect(await check({ toml, env: without })).toMatchObject({
      status: 1,
      complaints: containing('oauth.client_id is set without oauth.client_secret'),
    });
  });

  it('looks at the file alone where it is asked to', async () => {
    const env = { EKA_CI_WEB__PORT: 'x', XDG_RUNTIME_DIR: '', GITEA_TOKEN: 'x', GITEA_DOMAIN: 'y' };
    expect(await check({ toml: 'web.port = 1', env, argv: ['--addr', 'x'] }, 'syntax')).toMatchObject({
      status: 0,
      complaints: '',
    });
    expect((await check({ toml: 'web.port = -1' }, 'syntax')).status).toBe(1);
  });
});

const secretKeys = [...settingKeys.values()].filter((key) =>
  [secret, `postgres://u:${secret}@h/d`].some((text) => isSecret(key, text)),
);

describe('a secret', () => {
  it('has these places', () => {
    expect(secretKeys.map(({ name }) => name)).toEqual([
      'database_url',
      'web.metrics_token',
      'oauth.client_secret',
      'oauth.jwt_secret',
      'security.webhook_secret',
    ]);
  });

  it('property: is never told, whatever shape it has and wherever it is', async () => {
    const digits = '48151623421337';
    const shape = fc.constantFrom<(text: string) => unknown>(
      (text) => text,
      (text) => [text],
      (text) => [text, 7, text],
      (text) => ({ value: text }),
      (text) => `${text}\n`,
      (text) => `postgres://u:${text}@h/d`,
      (text) => `mysql://u:${text}@h/d`,
      () => Number(digits),
      () => [Number(digits)],
    );
    const tokens = ['token', 'webhook_secret'] as const;
    const variables = [
      ...secretKeys.map(({ name }) => variableOf(name)),
      'WEBHOOK_SECRET',
      'GITHUB_WEBHOOK_SECRET',
      'JWT_SECRET',
      'GITHUB_OAUTH_CLIENT_SECRET',
      'GITEA_TOKEN',
      'GITEA_TOKEN_GIT_EXAMPLE_COM',
      'GITLAB_TOKEN',
      'GITHUB_APP_PRIVATE_KEY',
      // And where none belongs.
      ...[...settingKeys.keys()].filter((name) => name !== 'unix.socket_group').map(variableOf),
      'EKA_CI_WEB',
      'EKA_CI_SECURITY',
      'EKA_CI_UNKNOWN',
      'GITEA_DOMAIN',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          inFile: fc.dictionary(fc.constantFrom(...secretKeys.map(({ name }) => name)), shape),
          inEntry: fc.tuple(fc.constantFrom(...tokens), shape, fc.constantFrom('gitea', 'gitlab')),
          inEnv: fc.dictionary(fc.constantFrom(...variables), shape),
          cut: fc.option(fc.nat(400)),
        }),
        async ({ inFile, inEntry: [field, make, forge], inEnv, cut }) => {
          const written = (value: unknown): string =>
            typeof value === 'object' && !Array.isArray(value)
              ? `{ value = ${JSON.stringify(secret)} }`
              : JSON.stringify(value);
          const toml = [
            ...Object.entries(inFile).map(([name, shaped]) => `${name} = ${written(shaped(secret))}`),
            `[[${forge}_instances]]\ndomain = "git.example.com"\n${field} = ${written(make(secret))}`,
          ].join('\n');
          const env = Object.fromEntries(
            Object.entries(inEnv).map(([name, shaped]) => {
              const value = shaped(secret);
              return [name, typeof value === 'string' ? value : JSON.stringify(value)];
            }),
          );
          const text = cut === null ? toml : toml.slice(0, cut);
          for (const extent of ['everything', 'no-credentials', 'syntax'] as const) {
            const shown = all(await check({ toml: text, env }, extent));
            expect(shown).not.toContain('canary');
            // A number in the place of another number may be shown: it is no secret's place.
            for (const line of shown.split('\n').filter((one) => one.includes(digits))) {
              expect(line).toMatch(/must be a whole number from .* \(it is 48151623421337\)$/);
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('stays hidden in a configuration that has one everywhere', () => {
    const instance = { domain: 'h', token: secret, webhook_secret: secret };
    const config = fillDefaults(
      ServerConfigSchema.parse({
        database_url: `postgres://u:${secret}@h/d`,
        web: { metrics_token: secret },
        oauth: { client_id: 'x', client_secret: secret, jwt_secret: secret },
        security: { webhook_secret: [secret, secret] },
        gitea_instances: [instance],
        gitlab_instances: [instance],
      }),
      {
        directories: { configHome: '/c', dataHome: '/d', stateHome: '/s', runtimeDir: null },
        socketDir: '/s',
        cores: 1,
      },
    );
    const shown = [
      JSON.stringify(config),
      inspect(config, { depth: null, showHidden: true }),
      String(config.security.webhook_secret),
    ];
    const told = [...startFaults(config).map(({ message }) => message), ...startWarnings(config)];
    expect([...shown, ...told].join('\n')).not.toContain('canary');
    expect(JSON.stringify(config).match(/\[redacted\]/g)).toHaveLength(10);
  });
});
