import { describe, expect, it } from 'vitest';
import { checkValue, settingKeys } from './server-config-keys.ts';

const faults = (name: string, value: unknown): string[] => {
  const key = settingKeys.get(name);
  if (key === undefined) throw new Error(`no key ${name}`);
  return checkValue(key, value).map(({ path, message }) => `${path.join('.')}: ${message}`);
};

describe('whole numbers', () => {
  it.each([
    ['build_no_output_timeout_seconds', 30, 86_400],
    ['build_max_duration_seconds', 60, 604_800],
    ['graph_lru_capacity', 1, 2_147_483_647],
    ['web.port', 0, 65_535],
    ['security.max_hook_timeout_seconds', 1, 86_400],
    ['evaluation.workers', 1, 1024],
    ['evaluation.max_memory_mib', 64, 16_777_216],
    ['builders.fod_max_jobs', 1, 1024],
    ['rebuild.max_rebuild_count', 0, 2_147_483_647],
    ['retention.max_log_mib', 1, 1_048_576],
    ['disk.min_free_mib', 0, 2_147_483_647],
    ['sandbox.max_processes', 1, 1_000_000],
  ])('%s: %i to %i, the bounds included and named', (name, min, max) => {
    expect(faults(name, min)).toEqual([]);
    expect(faults(name, max)).toEqual([]);
    const words = `: must be a whole number from ${min} to ${max}`;
    for (const wrong of [min - 1, max + 1, min + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(faults(name, wrong)).toEqual([`${words} (it is ${wrong})`]);
    }
    for (const wrong of ['9', true, [], {}, new Date()]) expect(faults(name, wrong)).toEqual([words]);
  });
});

const forms: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    'origin',
    ['https://ci.example.com', 'http://localhost:3000', 'http://127.0.0.1:1', 'https://[::1]:8443'],
    [
      'https://ci.example.com/',
      'https://ci.example.com/x',
      'https://ci.example.com?',
      'https://ci.example.com#',
      'https://u@ci.example.com',
      'https://u:p@ci.example.com',
      'https://*.example.com',
      'https://*',
      '*',
      'null',
      'ci.example.com',
      'ftp://ci.example.com',
      'https://CI.example.com',
      'https://ci.example.com:443',
      'http://ci.example.com:80',
      ' https://ci.example.com',
      'https://ci.example.com\n',
      'https:ci.example.com',
      '',
    ],
  ],
  [
    'cidr',
    ['10.0.0.0/8', '127.0.0.1/32', '0.0.0.0/0', '::1/128', 'fd00::/8'],
    [
      '10.0.0.0',
      '10.0.0.0/33',
      '::1/129',
      '10.0.0/8',
      'host/8',
      '10.0.0.0/',
      '10.0.0.0/-1',
      'fe80::1%eth0/64',
    ],
  ],
  [
    'forge:login',
    ['github:octocat', 'github:renovate[bot]', 'gitlab:a.b'],
    ['octocat', 'git:a', 'github:', 'github:a b', 'github:a/b'],
  ],
  ['repository glob', ['*', 'myorg/*', 'myorg/**', 'a**'], ['myorg', '', 'a b/c', 'a/[bc]', 'a/?']],
];
const listKeys = new Map([
  ['origin', 'web.allowed_origins'],
  ['cidr', 'web.trusted_proxies'],
  ['forge:login', 'admins'],
  ['repository glob', 'evaluation.allow_network'],
]);

describe.each(forms)('the form of %s', (form, right, wrong) => {
  const name = listKeys.get(form) ?? '';
  it.each(right)('takes %j', (value) => expect(faults(name, [value])).toEqual([]));
  it.each(wrong)('refuses %j', (value) => {
    expect(faults(name, [value])).toHaveLength(1);
    expect(faults(name, [value])[0]).toMatch(/^0: must be /);
  });
});

describe('texts of one form', () => {
  it.each([
    ['unix.socket_mode', ['0600', '660', '0777'], ['600o', '0o600', '1600', '0800', '', '00600']],
    ['web.address', ['127.0.0.1', '::', '::1'], ['localhost', '127.1', '256.1.1.1', 'fe80::1%lo', '']],
    ['db_path', ['/a b/c', '/'], ['a', './a', '~/a', '', '/a\0b', '/a\nb', `/${'x'.repeat(4096)}`]],
    [
      'unix.socket_path',
      [`/${'x'.repeat(106)}`],
      [`/${'x'.repeat(107)}`, `/${'é'.repeat(60)}`, 'ekaci.socket'],
    ],
    [
      'web.public_url',
      ['https://ci.example.com', 'https://ci.example.com/eka/', 'http://[::1]:3030'],
      [
        'ci.example.com',
        'https://u@h',
        'https://h?q',
        'https://h#f',
        'ftp://h',
        'https://',
        'https:/h',
        'https://a b',
      ],
    ],
    ['database_url', ['postgres://u:p@h/d', 'postgresql:///d'], ['mysql://h/d', 'postgres:h', '']],
    ['oauth.jwt_secret', ['x'], ['', 'a\nb', 'a\0b', 'x'.repeat(4097)]],
    ['default_merge_method', ['merge', 'squash', 'rebase'], ['Squash', 'ff', '']],
  ])('%s', (name, right, wrong) => {
    for (const value of right) expect([value, faults(name, value)]).toEqual([value, []]);
    for (const value of wrong) expect([value, faults(name, value).length]).toEqual([value, 1]);
  });
});

describe('a git repository', () => {
  const urls = (url: string) => faults('git_repositories', [{ name: 'o/r', url }]);
  it.each([
    '/srv/git/x.git',
    'https://git.example.com/o/r.git',
    'ssh://git@git.example.com:22/o/r',
    'git://h/r',
    'file:///srv/r',
    'git@git.example.com:o/r.git',
  ])('is at %s', (url) => expect(urls(url)).toEqual([]));
  it.each([
    'https://token@h/r',
    'https://u:p@h/r',
    'ssh://u:p@h/r',
    'https://h/r?private_token=x',
    'ext::sh -c id',
    '-u/tmp/x',
    'relative/path',
    'ftp://h/r',
    '',
  ])('is not at %s', (url) => expect(urls(url)).toHaveLength(1));

  it('has names that cannot climb, and branches that git takes', () => {
    const repository = (part: object) =>
      faults('git_repositories', [{ name: 'o/r', url: '/r', ...part }]).length;
    for (const name of ['r', '../r', 'o/..', 'o//r', '/o/r', 'o/r/', 'o/r s'])
      expect(repository({ name })).toBe(1);
    for (const name of ['o/r', 'group/sub/r.x', 'o/...r']) expect(repository({ name })).toBe(0);
    for (const base_branch of ['', '-x', 'a..b', 'a b', 'a.lock', '/a', 'a/', '@', 'a/.b', 'a~1']) {
      expect([base_branch, repository({ base_branch })]).toEqual([base_branch, 1]);
    }
    for (const base_branch of ['main', 'release/24.05', 'a@b']) expect(repository({ base_branch })).toBe(0);
  });
});

describe('a cache', () => {
  const cache = (cache_type: string, destination: string) =>
    faults('caches', [{ id: 'c', cache_type, destination, credentials: 'none' }]);
  it.each([
    ['nix-copy', 's3://my-bucket/nix-cache?region=us-east-1'],
    ['nix-copy', 'https://cache.example.com/x'],
    ['nix-copy', 'ssh-ng://u@h'],
    ['nix-copy', 'file:///srv/cache'],
    ['cachix', 'myorg'],
    ['attic', 'https://h/cache'],
  ])('%s goes to %s', (type, destination) => expect(cache(type, destination)).toEqual([]));
  it.each([
    ['nix-copy', 'https://u:p@h/x'],
    ['nix-copy', 'https://u@h/x'],
    ['nix-copy', 'gopher://h'],
    ['nix-copy', 's3://'],
    ['nix-copy', 'myorg'],
    ['nix-copy', 'daemon'],
    ['cachix', 'https://myorg.cachix.org'],
    ['cachix', 'my org'],
    ['attic', 'https://h'],
    ['attic', 'https://h/a/b'],
  ])('%s does not go to %s', (type, destination) => {
    expect(cache(type, destination)).toHaveLength(1);
    expect(cache(type, destination)[0]).toMatch(/^0\.destination: must be /);
  });
});

describe('a credential source', () => {
  const source = (credentials: unknown) =>
    faults('github_apps', [{ id: 'a', credentials }]).map((fault) => fault.replace('0.credentials', ''));
  it.each([
    { env: { vars: ['A', 'B'] } },
    { file: { path: '/run/x.json' } },
    { 'aws-profile': { profile: 'production' } },
    { 'cachix-token': { env_var: 'CACHIX_AUTH_TOKEN' } },
    { vault: { address: 'https://vault.example.com:8200', secret_path: 'secret/data/x' } },
    { vault: { address: 'https://v', secret_path: 'x', token_env: 'T', namespace: 'n' } },
    { 'aws-secrets-manager': { secret_name: 'eka-ci/s3' } },
    { 'systemd-credential': { name: 'github-app-key' } },
    'instance-metadata',
    { 'github-app-key-file': { app_id_env: 'GITHUB_APP_ID', key_file: '/etc/x.pem' } },
    'none',
  ])('is %j', (credentials) => expect(source(credentials)).toEqual([]));
  it.each<[unknown, RegExp]>([
    [undefined, /^: is missing: it must be exactly one credential source of "env", .*"none"$/],
    ['nothing', /^: must be exactly one credential source/],
    [{}, /^: must be exactly one/],
    [{ env: { vars: ['A'] }, file: { path: '/x' } }, /^: must be exactly one/],
    [3, /^: must be exactly one/],
    [{ env: { vars: [] } }, /^\.env\.vars: must name at least one variable$/],
    [{ env: { vars: ['A-B'] } }, /^\.env\.vars\.0: must be the name of an environment variable$/],
    [{ env: { var: ['A'] } }, /^\.env\.vars: is missing/],
    [{ aws_profile: {} }, /^\.aws_profile: is not a known key; did you mean "aws-profile"\?$/],
    [{ 'systemd-credential': { name: '../x' } }, /must not contain/],
    [{ vault: { address: 'https://t@v', secret_path: 'x' } }, /^\.vault\.address: must be an http/],
  ])('is not %j', (credentials, fault) => expect(source(credentials)[0]).toMatch(fault));
});
