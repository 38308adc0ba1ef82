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
        toml: 'caches = []\n[evaluation]\nallow_import_from_derivation = true\n[[gitlab_instances]]\ndomain = "g.example"',
        env: { EKA_CI_WEB__BUNDLE_PATH: '/bundle' },
      }),
    ).toEqual([
      `${configFile}:3: evaluation.allow_import_from_derivation: ${refusal} (its default is false)`,
      `${configFile}:4: gitlab_instances: ${refusal}`,
      `environment EKA_CI_WEB__BUNDLE_PATH: web.bundle_path: ${refusal}`,
    ]);
    expect(
      await complaints({
        toml: [
          'evaluation.allow_import_from_derivation = false',
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
    const other = app(
      'o',
      'api_url = "https://ghe.example/api/v3"\ncredentials = { env = { vars = ["A"] } }',
    );
    expect(await complaints({ toml: app('m', 'credentials = { env = { vars = ["A"] } }') + other })).toEqual(
      [],
    );
    const spelled = other.replace('"o"', '"p"').replace('/api/v3', '/api/v4');
    expect(await complaints({ toml: other + spelled })).toEqual([
      expect.stringContaining('several addresses of one GitHub server'),
    ]);
    expect(await complaints({ toml: other + other.replace('"o"', '"p"').replace('v3"', 'v3/"') })).toEqual(
      [],
    );
    expect(await complaints({ toml: other })).toEqual([]);
    expect(await complaints({ toml: 'admins = ["github:alice", "gitlab:bob"]' })).toEqual([
      expect.stringContaining('gitlab:bob: signing in with another forge than GitHub is not supported'),
    ]);
  });

  it('may be set in a file that something stronger brings back to the default', async () => {
    const env = { EKA_CI_EVALUATION__ALLOW_IMPORT_FROM_DERIVATION: 'false' };
    const given = { toml: 'evaluation.allow_import_from_derivation = true', env };
    expect((await loadValid(given)).config.evaluation.allow_import_from_derivation).toBe(false);
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
