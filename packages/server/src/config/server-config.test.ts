import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settingKeys, valueAt } from './server-config-keys.ts';
import { formatOrigin } from './setting.ts';
import { complaints, configFile, loadValid } from './testing/config-sources.ts';

describe('without any setting', () => {
  it('every key has its documented default', async () => {
    const { config, origins } = await loadValid({});
    expect(config).toEqual({
      db_path: '/home/u/.local/share/ekaci/sqlite.db',
      logs_dir: '/home/u/.local/share/ekaci/build-logs',
      require_approval: false,
      merge_queue_require_approval: false,
      build_no_output_timeout_seconds: 1200,
      build_max_duration_seconds: 14_400,
      graph_lru_capacity: 100_000,
      default_merge_method: 'squash',
      admins: [],
      trusted_bots: [],
      web: {
        address: '127.0.0.1',
        port: 3030,
        public_url: 'http://127.0.0.1:3030',
        trusted_proxies: ['127.0.0.0/8', '::1/128'],
        allowed_origins: [],
      },
      unix: { socket_path: '/run/user/7/ekaci.socket', socket_mode: '0600' },
      oauth: { redirect_url: 'http://127.0.0.1:3030/github/auth/callback' },
      security: {
        webhook_secret: [],
        allow_insecure_webhooks: false,
        max_hook_timeout_seconds: 300,
        audit_hooks: true,
        allow_private_cache_hosts: false,
      },
      evaluation: {
        workers: 6,
        max_memory_mib: 4096,
        timeout_seconds: 3600,
        allow_import_from_derivation: false,
        allow_network: [],
      },
      builders: { machines_file: '/etc/nix/machines', local_max_jobs: 6, fod_max_jobs: 8 },
      rebuild: { max_rebuild_count: 20_000, skip_paths: [] },
      retention: { build_log_days: 90, gc_root_days: 14, failure_days: 14, max_log_mib: 64 },
      disk: { min_free_mib: 2048 },
      sandbox: {
        max_memory_mib: 4096,
        max_cpu_seconds: 3600,
        max_processes: 512,
        max_output_mib: 64,
        max_timeout_seconds: 86_400,
        allow_network: [],
      },
      git_repositories: [],
      branches: [],
      github_apps: [],
      gitea_instances: [],
      gitlab_instances: [],
      caches: [],
      hooks: [],
    });
    expect(new Set([...origins.values()].map(formatOrigin))).toEqual(new Set(['default']));
  });

  it('places follow the XDG base directories, and what a key says others follow', async () => {
    const env = { XDG_DATA_HOME: '/var/lib/eka-ci', XDG_RUNTIME_DIR: '/run/user/7', HOME: '/root' };
    const toml = '[web]\naddress = "::1"\nport = 80';
    expect((await loadValid({ env, toml })).config).toMatchObject({
      db_path: '/var/lib/eka-ci/ekaci/sqlite.db',
      web: { public_url: 'http://[::1]:80' },
      oauth: { redirect_url: 'http://[::1]:80/github/auth/callback' },
    });
    // A relative variable is none, says the XDG specification.
    expect((await loadValid({ env: { XDG_DATA_HOME: 'x', HOME: '/h' } })).config.db_path).toBe(
      '/h/.local/share/ekaci/sqlite.db',
    );
    const gone = await loadValid({ env: { XDG_RUNTIME_DIR: '/run/user/8' } });
    expect(gone.config.unix.socket_path).toBe('/home/u/.local/state/ekaci/run/ekaci.socket');
    expect(gone.warnings).toEqual([
      'the unix socket goes to /home/u/.local/state/ekaci/run: XDG_RUNTIME_DIR names /run/user/8, which is no directory',
    ]);
    expect((await loadValid({ env: { XDG_RUNTIME_DIR: '' }, argv: ['--socket', 's'] })).warnings).toEqual([]);
    const deep = `/${'x'.repeat(100)}`;
    expect(await complaints({ env: { XDG_RUNTIME_DIR: '', XDG_STATE_HOME: deep } })).toEqual([
      `unix.socket_path: must be an absolute path of at most 107 bytes (it is ${deep}/ekaci/run/ekaci.socket)`,
    ]);
  });
});

describe('the file', () => {
  it('is the one of the flag, else of the variable, else the default one, which alone may be missing', async () => {
    const port = (value: number) => `[web]\nport = ${value}`;
    const files = { '/cwd/a': port(1), '/b': port(2), '/home/u/.config/ekaci/ekaci.toml': port(3) };
    const env = { EKA_CI_CONFIG_FILE: '/b' };
    const portOf = async (given: object) => (await loadValid({ files, ...given })).config.web.port;
    expect(await portOf({ env, argv: ['--config-file', 'a'] })).toBe(1);
    expect(await portOf({ env })).toBe(2);
    expect(await portOf({})).toBe(3);
    expect(await portOf({ env: { XDG_CONFIG_HOME: '/other' } })).toBe(3030);
    expect(await complaints({ env: { EKA_CI_CONFIG_FILE: '/none' } })).toEqual([
      'environment EKA_CI_CONFIG_FILE: /none does not exist',
    ]);
    expect(await complaints({ argv: ['--config-file', '/none'] })).toEqual([
      'flag --config-file: /none does not exist',
    ]);
    const unreadable = { kind: 'unreadable', message: 'is no text' } as const;
    expect(await complaints({ files: { '/home/u/.config/ekaci/ekaci.toml': unreadable } })).toEqual([
      '/home/u/.config/ekaci/ekaci.toml is no text',
    ]);
  });

  it('is told where it is wrong, everything at once, in its order', async () => {
    const toml = [
      'prot = 1',
      'db-path = "/x"',
      'graph_lru_capacity = 0',
      '[web]',
      'prot = 8080',
      'port = 99999',
      'public_url = "https://ci.example.com"',
      '[webb]',
      '[retention]',
      'max_log = 3',
      'zzzz = 3',
      '[[git_repositories]]',
      'name = "o/r"',
      'poll_interval = 3',
      '[[unix]]',
    ].join('\n');
    expect(await complaints({ toml })).toEqual(
      [
        '1: prot: is not a known key; did you mean "web.port"?',
        '2: db-path: is not a known key; did you mean "db_path"?',
        '3: graph_lru_capacity: must be a whole number from 1 to 2147483647 (it is 0)',
        '5: web.prot: is not a known key; did you mean "web.port"?',
        '6: web.port: must be a whole number from 0 to 65535 (it is 99999)',
        '8: webb: is not a known key; did you mean "web"?',
        '10: retention.max_log: is not a known key; did you mean "retention.max_log_mib"?',
        '11: retention.zzzz: is not a known key; known here: build_log_days, gc_root_days, failure_days, max_log_mib',
        '12: git_repositories[0].url: is missing: it must be an absolute path, user@host:path, or an https, ssh, git ' +
          'or file URL; without a password or token (git takes those from a credential helper)',
        '14: git_repositories[0].poll_interval: is not a known key; did you mean "poll_interval_seconds"?',
        '15: unix: must be a table: [unix]',
      ].map((line) => `${configFile}:${line}`),
    );
    expect(await complaints({ toml: 'a = 1\nb = ' })).toEqual([
      `${configFile}:2: column 5: is not TOML: invalid value`,
    ]);
    expect(await complaints({ toml: '"web.port" = 1' })).toEqual([
      `${configFile}:1: "web.port": is not a known key; known here: ${[...new Set([...settingKeys.values()].map(({ path }) => path[0]))].join(', ')}`,
    ]);
  });

  it('may write the mode of the socket as a number only where it is octal', async () => {
    const mode = async (text: string) =>
      (await loadValid({ toml: `[unix]\nsocket_mode = ${text}` })).config.unix.socket_mode;
    expect([await mode('"660"'), await mode('0o660'), await mode('"0666"')]).toEqual([
      '0660',
      '0660',
      '0666',
    ]);
    // 432 is 0o660 too, and nobody who writes it means that.
    for (const text of ['432', '600', '0o1000', '"rw"']) {
      expect(await complaints({ toml: `[unix]\nsocket_mode = ${text}` })).toHaveLength(1);
    }
  });

  it('should not show secrets to everybody', async () => {
    const text = '[web]\nport = 3\n[security]\nwebhook_secret = "x"';
    const files = { '/p': { kind: 'read', text, isPublic: true } } as const;
    const { warnings } = await loadValid({ files, argv: ['--config-file', '/p'] });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^\/p:4: security\.webhook_secret: every user of this machine can read this secret/,
      ),
    ]);
  });
});

describe('precedence', () => {
  const settings = [
    { key: 'web.port', flag: '--port', values: [1, 2, 3, 4] },
    { key: 'web.address', flag: '--addr', values: ['10.0.0.1', '10.0.0.2', '10.0.0.3', '::4'] },
    { key: 'db_path', flag: '--db-path', values: ['/1', '/2', '/3', '/4'] },
    { key: 'logs_dir', flag: '--logs-dir', values: ['/1', '/2', '/3', '/4'] },
    { key: 'unix.socket_path', flag: '--socket', values: ['/1', '/2', '/3', '/4'] },
    { key: 'evaluation.workers', flag: null, values: [1, 2, 3, 4] },
    { key: 'retention.max_log_mib', flag: null, values: [1, 2, 3, 4] },
    { key: 'build_max_duration_seconds', flag: null, values: [61, 62, 63, 64] },
  ] as const;
  const places = ['file', 'section', 'variable', 'flag'] as const;

  it('property: flag over variable of the key over variable of the section over file over default', async () => {
    const choice = fc.tuple(...settings.map(() => fc.subarray([...places])));
    const byDefault = await loadValid({});
    await fc.assert(
      fc.asyncProperty(choice, async (chosen) => {
        const toml: string[] = [];
        const env: Record<string, string> = {};
        const sections: Record<string, Record<string, unknown>> = {};
        const argv: string[] = [];
        const expected = settings.map(({ key, flag, values }, index) => {
          const given = places.filter((place) => chosen[index]?.includes(place));
          const [section, member] = key.split('.');
          const usable = given.filter(
            (place) => (place !== 'flag' || flag !== null) && (place !== 'section' || member !== undefined),
          );
          for (const place of usable) {
            const value = values[places.indexOf(place)];
            if (place === 'file') toml.push(`${key} = ${JSON.stringify(value)}`);
            if (place === 'flag') argv.push(`${flag}`, `${value}`);
            if (place === 'variable') env[`EKA_CI_${key.replace('.', '__').toUpperCase()}`] = `${value}`;
            if (place === 'section') (sections[section ?? ''] ??= {})[member ?? ''] = value;
          }
          const last = usable.at(-1);
          return {
            key,
            value: last === undefined ? null : values[places.indexOf(last)],
            origin: { file: 'file', section: 'environment', variable: 'environment', flag: 'flag' }[
              last ?? 'file'
            ],
          };
        });
        for (const [name, members] of Object.entries(sections)) {
          env[`EKA_CI_${name.toUpperCase()}`] = JSON.stringify(members);
        }
        const { config, origins } = await loadValid({ toml: toml.join('\n'), env, argv });
        const at = (from: object, key: string): unknown => valueAt(from, key.split('.'));
        for (const { key, value, origin } of expected) {
          expect([key, at(config, key)]).toEqual([key, value ?? at(byDefault.config, key)]);
          expect(origins.get(key)?.kind).toBe(value === null ? 'default' : origin);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('does not forgive a file what something else overrides', async () => {
    expect(await complaints({ toml: 'web.port = -1', argv: ['--port', '80'] })).toHaveLength(1);
  });

  it('tells the place of each: file with line, variable, flag', async () => {
    const { origins } = await loadValid({
      toml: '[web]\n\nport = 1\n[[git_repositories]]\nname = "o/r"\nurl = "/r"',
      env: { EKA_CI_EVALUATION__WORKERS: '2' },
      argv: ['--addr', '::1'],
    });
    const told = ['web.port', 'git_repositories', 'evaluation.workers', 'web.address'].map((key) =>
      formatOrigin(origins.get(key) ?? { kind: 'default' }),
    );
    expect(told).toEqual([
      `${configFile}:3`,
      `${configFile}:4`,
      'environment EKA_CI_EVALUATION__WORKERS',
      'flag --addr',
    ]);
  });
});
