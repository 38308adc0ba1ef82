import { describe, expect, it } from 'vitest';
import { variableOf } from './server-config-environment.ts';
import { settingKeys } from './server-config-keys.ts';
import { complaints, loadValid } from './testing/config-sources.ts';

describe('EKA_CI_<SECTION>__<KEY>', () => {
  it('has one variable for each key', () => {
    const variables = new Set([...settingKeys.keys()].map(variableOf));
    expect(variables.size).toBe(settingKeys.size);
    expect(variableOf('web.port')).toBe('EKA_CI_WEB__PORT');
    expect(variableOf('graph_lru_capacity')).toBe('EKA_CI_GRAPH_LRU_CAPACITY');
  });

  it('takes numbers, truths, texts as they are, and lists and tables as JSON or TOML', async () => {
    const { config, warnings } = await loadValid({
      env: {
        EKA_CI_WEB: '{ address = "::1", port = 8080 }',
        EKA_CI_EVALUATION: '{"workers": 3, "timeout_seconds": null}',
        EKA_CI_LOGS_DIR: '/logs of "this" server',
        EKA_CI_UNIX__SOCKET_MODE: '0660',
        EKA_CI_SECURITY__ALLOW_INSECURE_WEBHOOKS: 'true',
        EKA_CI_GIT_REPOSITORIES: '[{ name = "o/r", url = "/r" }]',
        EKA_CI_DB_PATH: '',
        EKA_CI_SOCKET: '/elsewhere',
        EKA_CI_LOG: 'debug',
      },
    });
    expect(warnings).toEqual([]);
    expect(config.web).toMatchObject({ address: '::1', port: 8080 });
    expect(config.evaluation).toMatchObject({ workers: 3, timeout_seconds: 3600 });
    expect(config.logs_dir).toBe('/logs of "this" server');
    expect(config.unix).toMatchObject({ socket_mode: '0660' });
    expect(config.security.allow_insecure_webhooks).toBe(true);
    expect(config.git_repositories).toEqual([
      { name: 'o/r', url: '/r', base_branch: 'main', poll_interval_seconds: 30 },
    ]);
    expect(config.db_path).toBe('/home/u/.local/share/ekaci/sqlite.db');
  });

  it('says what is wrong with each, by its name', async () => {
    expect(
      await complaints({
        env: {
          EKA_CI_WEB__PORT: '8o8o',
          EKA_CI_WEB__PROT: '1',
          EKA_CI_WEB: '{ prot = 1 }',
          EKA_CI_UNIX: 'x',
          EKA_CI_NONSENSE_VARIABLE: 'x',
          EKA_CI_SECURITY__ALLOW_INSECURE_WEBHOOKS: 'yes',
          EKA_CI_BRANCHES: 'main',
          EKA_CI_GIT_REPOSITORIES: '[]\nx = 1',
        },
      }),
    ).toEqual([
      'environment EKA_CI_UNIX: unix: must be a table as JSON or as a TOML value, such as { key = "a" }',
      'environment EKA_CI_WEB: web.prot: is not a known key; did you mean "web.port"?',
      'environment EKA_CI_BRANCHES: branches: must be a list as JSON or as a TOML value, such as ["a", "b"]',
      'environment EKA_CI_GIT_REPOSITORIES: git_repositories: must be a list as JSON or as a TOML value, such as ["a", "b"]',
      'environment EKA_CI_NONSENSE_VARIABLE: is not a known variable; a key is EKA_CI_SECTION__KEY',
      'environment EKA_CI_WEB__PROT: is not a known variable; did you mean EKA_CI_WEB__PORT?',
      'environment EKA_CI_SECURITY__ALLOW_INSECURE_WEBHOOKS: security.allow_insecure_webhooks: must be true or false',
      'environment EKA_CI_WEB__PORT: web.port: must be a whole number from 0 to 65535',
    ]);
  });
});

describe('variables with a name of their own', () => {
  const secrets = async (env: Record<string, string>, toml?: string) => {
    const { config } = await loadValid({ env, ...(toml !== undefined && { toml }) });
    return config.security.webhook_secret.map((secret) => secret.reveal());
  };

  it('give the webhook secret, or a list of them', async () => {
    const file = '[security]\nwebhook_secret = ["file-1", "file-2"]';
    expect(await secrets({}, file)).toEqual(['file-1', 'file-2']);
    expect(await secrets({ EKA_CI_SECURITY__WEBHOOK_SECRET: 'ours' }, file)).toEqual(['ours']);
    expect(await secrets({ GITHUB_WEBHOOK_SECRET: 'old' }, file)).toEqual(['old']);
    expect(await secrets({ GITHUB_WEBHOOK_SECRET: 'old', WEBHOOK_SECRET: 'new' }, file)).toEqual(['new']);
    expect(await secrets({ WEBHOOK_SECRET: '["a", "b"]' })).toEqual(['a', 'b']);
    expect(await secrets({ WEBHOOK_SECRET: '[not a list' })).toEqual(['[not a list']);
    expect(await secrets({ WEBHOOK_SECRET: '' }, file)).toEqual(['file-1', 'file-2']);
  });

  it('say when they hide another', async () => {
    const { warnings } = await loadValid({ env: { GITHUB_WEBHOOK_SECRET: 'a', WEBHOOK_SECRET: 'b' } });
    expect(warnings).toEqual([
      'GITHUB_WEBHOOK_SECRET and WEBHOOK_SECRET both set security.webhook_secret: WEBHOOK_SECRET holds',
    ]);
  });

  it('reach the keys of OAuth', async () => {
    const env = {
      GITHUB_OAUTH_CLIENT_ID: 'id',
      GITHUB_OAUTH_CLIENT_SECRET: 'secret',
      GITHUB_OAUTH_REDIRECT_URL: 'https://h/cb',
      JWT_SECRET: 'jwt',
    };
    const { oauth } = (await loadValid({ env })).config;
    expect(oauth).toMatchObject({ client_id: 'id', redirect_url: 'https://h/cb' });
    expect([oauth.client_secret?.reveal(), oauth.jwt_secret?.reveal()]).toEqual(['secret', 'jwt']);
  });
});
