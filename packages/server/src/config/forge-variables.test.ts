import { describe, expect, it } from 'vitest';
import { missingTokens, readForgeVariables } from './forge-variables.ts';
import { fillDefaults } from './server-config-defaults.ts';
import { ServerConfigSchema } from './server-config-schema.ts';
import { startFaults, startWarnings } from './start-conditions.ts';

const containing = (text: string): unknown => expect.stringContaining(text);
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

const configOf = (written: object) =>
  fillDefaults(ServerConfigSchema.parse(written), {
    directories: { configHome: '/c', dataHome: '/d', stateHome: '/s', runtimeDir: null },
    socketDir: '/s/run',
    cores: 2,
  });

const read = (written: object, env: Record<string, string>) => {
  const result = readForgeVariables(configOf(written), env);
  const tokens = [...result.config.gitea_instances, ...result.config.gitlab_instances].map(
    ({ domain, token }) => [domain, token?.reveal() ?? null],
  );
  return { ...result, tokens };
};

const two = { gitea_instances: [{ domain: 'git.example.com' }, { domain: 'code-2.example.net' }] };
const one = { gitlab_instances: [{ domain: 'gitlab.com' }] };

describe('tokens of instances', () => {
  it('come from the variable of the domain first', () => {
    const env = {
      GITEA_TOKEN_GIT_EXAMPLE_COM: 'own',
      GITEA_TOKEN_CODE_2_EXAMPLE_NET: 'other',
      GITEA_TOKEN: 'shared',
      GITEA_DOMAIN: 'git.example.com',
    };
    expect(read(two, env).tokens).toEqual([
      ['git.example.com', 'own'],
      ['code-2.example.net', 'other'],
    ]);
  });

  it('come from the shared variable only for the instance that is meant', () => {
    expect(read(one, { GITLAB_TOKEN: 't' }).tokens).toEqual([['gitlab.com', 't']]);
    expect(read(one, { GITLAB_TOKEN: 't', GITLAB_DOMAIN: 'GitLab.com' }).tokens).toEqual([
      ['gitlab.com', 't'],
    ]);
    const ambiguous = read(two, { GITEA_TOKEN: 't' });
    expect(ambiguous.tokens).toEqual([
      ['git.example.com', null],
      ['code-2.example.net', null],
    ]);
    expect(ambiguous.warnings).toEqual([
      'GITEA_TOKEN is not used: several instances are listed, and GITEA_DOMAIN names none',
    ]);
    expect(missingTokens(ambiguous.config)[1]).toBe(
      'gitea_instances: code-2.example.net has no token: set GITEA_TOKEN_CODE_2_EXAMPLE_NET, or GITEA_TOKEN ' +
        'together with GITEA_DOMAIN=code-2.example.net, or token or credentials of the instance',
    );
    const listed = { gitlab_instances: [{ domain: 'gitlab.com', token: 'written' }] };
    expect(read(listed, { GITLAB_TOKEN: 't' }).tokens).toEqual([['gitlab.com', 'written']]);
    const sourced = { gitlab_instances: [{ domain: 'gitlab.com', credentials: { file: { path: '/x' } } }] };
    expect(missingTokens(read(sourced, {}).config)).toEqual([]);
  });

  it('make an instance together with a domain', () => {
    const made = read({}, { GITEA_TOKEN: 't', GITEA_DOMAIN: 'Git.Example.com:3000' });
    expect(made.tokens).toEqual([['git.example.com:3000', 't']]);
    expect(made.config.gitea_instances[0]?.url).toBe('https://git.example.com:3000');
    expect(made.made).toEqual(new Map([['gitea_instances', 'GITEA_DOMAIN']]));
    expect(read({}, { GITEA_TOKEN: 't' }).warnings).toEqual([
      'GITEA_TOKEN is not used: no instance is listed, and GITEA_DOMAIN names none',
    ]);
    expect(read({}, { GITEA_TOKEN: 't', GITEA_DOMAIN: 'https://x' }).problems).toEqual([
      { variable: 'GITEA_DOMAIN', message: containing('must be a host name') },
    ]);
    expect(read({}, { GITEA_DOMAIN: 'x' }).config.gitea_instances).toEqual([]);
  });
});

describe('the app of the environment', () => {
  const env = { GITHUB_APP_ID: '7', GITHUB_APP_PRIVATE_KEY: 'pem' };
  it('is there when none is listed, and needs both variables', () => {
    expect(read({}, env).config.github_apps).toMatchObject([
      { id: 'default', credentials: { kind: 'env', vars: ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY'] } },
    ]);
    const listed = { github_apps: [{ id: 'main', credentials: 'none' }] };
    expect(read(listed, env).config.github_apps.map(({ id }) => id)).toEqual(['main']);
    expect(read({}, { GITHUB_APP_ID: '7' }).problems).toEqual([
      { variable: 'GITHUB_APP_ID', message: 'makes a GitHub App only together with GITHUB_APP_PRIVATE_KEY' },
    ]);
  });
});

describe('a start', () => {
  const faults = (written: object) => startFaults(configOf(written)).map(({ message }) => message);
  const warnings = (written: object) => startWarnings(configOf(written));
  const secret = 'x'.repeat(16);

  it('needs a webhook secret, or the word that there is none', () => {
    expect(faults({})).toEqual([matching(/^there is no webhook secret: set WEBHOOK_SECRET/)]);
    expect(faults({ security: { webhook_secret: secret } })).toEqual([]);
    expect(faults({ security: { allow_insecure_webhooks: true } })).toEqual([]);
    expect(warnings({ security: { allow_insecure_webhooks: true } })).toEqual([
      'webhooks are taken from anybody: security.allow_insecure_webhooks is true and there is no secret',
    ]);
    expect(warnings({ security: { webhook_secret: secret } })).toEqual([]);
    expect(warnings({ security: { webhook_secret: secret, allow_insecure_webhooks: true } })).toEqual([
      'security.allow_insecure_webhooks has no effect: a webhook secret is set, and is asked for',
    ]);
    expect(warnings({ security: { webhook_secret: [secret, 'short'] } })).toHaveLength(1);
  });

  it('needs tokens and the secret of OAuth where these are used', () => {
    const security = { webhook_secret: secret };
    expect(faults({ security, ...two })).toHaveLength(2);
    expect(faults({ security, oauth: { client_id: 'x' } })).toHaveLength(1);
    expect(warnings({ security, oauth: { client_id: 'x', client_secret: 'y' } })).toEqual([
      'sessions end with this process: set JWT_SECRET to keep them over restarts',
    ]);
    const oauth = { client_id: 'x', client_secret: 'y', jwt_secret: secret.repeat(3) };
    const elsewhere = { ...oauth, redirect_url: 'https://other.example/github/auth/callback' };
    expect(warnings({ security, oauth })).toEqual([]);
    expect(warnings({ security, oauth: elsewhere })).toEqual([matching(/^nobody who signs in at /)]);
    expect(warnings({ security, admins: ['github:alice'] })).toEqual([matching(/^nobody can sign in/)]);
  });

  it('warns of a socket for everybody, and of links that lead nowhere', () => {
    const security = { webhook_secret: secret };
    expect(warnings({ security, unix: { socket_mode: '0666' } })).toHaveLength(1);
    expect(warnings({ security, unix: { socket_mode: '0660' } })).toEqual([]);
    expect(warnings({ security, web: { address: '::' } })).toEqual([
      'links on the forge would lead to http://[::]:3030: set web.public_url',
    ]);
    expect(warnings({ security, web: { address: '0.0.0.0', public_url: 'https://ci.example.com' } })).toEqual(
      [],
    );
  });
});
