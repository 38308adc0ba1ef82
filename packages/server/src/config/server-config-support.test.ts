import { describe, expect, it } from 'vitest';
import { settingKeys } from './server-config-keys.ts';
import { notYet } from './server-config-support.ts';
import { complaints, configFile, load, loadValid } from './testing/config-sources.ts';

describe('a key whose feature is not there yet', () => {
  it('is a known key', () => {
    expect(notYet.filter((name) => !settingKeys.has(name))).toEqual([]);
    expect(new Set(notYet).size).toBe(notYet.length);
  });

  it('is refused wherever it is set, and fine at its default', async () => {
    const refusal = 'is not supported by this version yet: leave it out';
    expect(
      await complaints({
        toml: 'require_approval = true\ncaches = []\n[oauth]\nclient_id = "x"\n[[hooks]]\nid = "h"\ncommand = ["x"]',
        env: { EKA_CI_DEFAULT_MERGE_METHOD: 'rebase', JWT_SECRET: 'x' },
        argv: ['--merge-queue-require-approval'],
      }),
    ).toEqual([
      `${configFile}:1: require_approval: ${refusal} (its default is false)`,
      `${configFile}:4: oauth.client_id: ${refusal}`,
      `${configFile}:5: hooks: ${refusal}`,
      `flag --merge-queue-require-approval: merge_queue_require_approval: ${refusal} (its default is false)`,
      `environment EKA_CI_DEFAULT_MERGE_METHOD: default_merge_method: ${refusal} (its default is "squash")`,
      `environment JWT_SECRET: oauth.jwt_secret: ${refusal}`,
    ]);
    expect(
      await complaints({
        toml: [
          'require_approval = false',
          'graph_lru_capacity = 100_000',
          'default_merge_method = "squash"',
          'caches = []',
          'web.public_url = "https://ci.example.com"',
          'oauth.redirect_url = "https://ci.example.com/github/auth/callback"',
          'security = { audit_hooks = true, max_hook_timeout_seconds = 300 }',
        ].join('\n'),
      }),
    ).toEqual([]);
  });

  it('is refused by its value where some are supported', async () => {
    const app = (id: string, more: string): string => `[[github_apps]]\nid = "${id}"\n${more}\n`;
    const vault = app('v', 'credentials = { vault = { address = "https://v.example", secret_path = "a" } }');
    const other = app(
      'o',
      'api_url = "https://ghe.example/api/v3"\ncredentials = { env = { vars = ["A"] } }',
    );
    expect(await complaints({ toml: vault })).toEqual([
      expect.stringContaining('v: credentials from vault are not supported by this version yet'),
    ]);
    expect(await complaints({ toml: app('m', 'credentials = { env = { vars = ["A"] } }') + other })).toEqual([
      expect.stringContaining('apps of several GitHub servers are not supported by this version yet'),
    ]);
    expect(await complaints({ toml: other })).toEqual([]);
  });

  it('may be set in a file that something stronger brings back to the default', async () => {
    const given = { toml: 'require_approval = true', env: { EKA_CI_REQUIRE_APPROVAL: 'false' } };
    expect((await loadValid(given)).config.require_approval).toBe(false);
  });
});

describe('rules between keys', () => {
  it('name the later of two that are called the same', async () => {
    const repository = '[[git_repositories]]\nname = "o/r"\nurl = "/r"\n';
    expect(await complaints({ toml: repository + repository })).toEqual([
      `${configFile}:5: git_repositories[1].name: is that of git_repositories[0] too`,
    ]);
  });

  it('keep names of hosted repositories for those', async () => {
    const named = (name: string): string => `[[git_repositories]]\nname = "${name}"\nurl = "/r"\n`;
    expect(await complaints({ toml: named('github.com/o/r') + named('gitlab.com/o/r') })).toEqual([
      expect.stringContaining('git_repositories[0].name: begins with the host github.com'),
    ]);
  });

  it('hold for hooks and caches, and doubtful permissions are pointed out', async () => {
    const toml = [
      '[[hooks]]',
      'id = "h"',
      'command = ["true"]',
      'timeout_seconds = 301',
      '[[caches]]',
      'id = "c"',
      'cache_type = "nix-copy"',
      'destination = "file:///srv/cache"',
      'credentials = "none"',
      'permissions = { allowed_repos = ["o/*"] }',
    ].join('\n');
    const loaded = await load({ toml });
    const told = loaded.kind === 'invalid' ? loaded.problems.map(({ message }) => message) : [];
    expect(told).toContain('must be at most security.max_hook_timeout_seconds, 300 (it is 301)');
    expect(told).toContain('may be a file: URL only with security.allow_private_cache_hosts = true');
    expect(loaded.warnings).toEqual([
      `${configFile}:10: caches[0].permissions: the lists hold nobody back while allow_all is true: set allow_all = false`,
    ]);
  });
});
