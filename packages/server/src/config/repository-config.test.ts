import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LoadedConfig, loadRepositoryConfig, maxConfigBytes } from './repository-config.ts';

const load = (files: Record<string, string | Uint8Array>): Promise<LoadedConfig> =>
  loadRepositoryConfig({
    read: async (path) => {
      const content = files[path];
      return typeof content === 'string' ? new TextEncoder().encode(content) : (content ?? null);
    },
  });

const loadText = (text: string): Promise<LoadedConfig> => load({ '.eka-ci/config.json': text });
const loadValue = (value: unknown): Promise<LoadedConfig> => loadText(JSON.stringify(value, null, 2));

const valid = async (value: unknown) => {
  const loaded = await loadValue(value);
  if (loaded.kind !== 'valid') throw new Error(JSON.stringify(loaded));
  return loaded;
};

const problems = async (value: unknown): Promise<string[]> => {
  const loaded = await loadValue(value);
  if (loaded.kind !== 'invalid') throw new Error(`expected an invalid file, got ${JSON.stringify(loaded)}`);
  return loaded.problems.map(({ path, message }) => `${path}: ${message}`);
};

/** What people are told of an invalid file. */
const complaint = (loaded: LoadedConfig): string =>
  loaded.kind === 'invalid' ? loaded.message : loaded.kind;

/** The example of the documentation. */
const example = {
  jobs: {
    packages: {
      file: 'default.nix',
      attr_path: 'optional.sub.attr',
      allow_eval_failures: true,
      caches: ['production-s3'],
      hooks: ['notify'],
      size_check: { max_increase_percent: 10.0, base_branch: 'main' },
      systems: ['x86_64-linux'],
    },
  },
  checks: {
    format: {
      shell: 'formatting',
      shell_nix: false,
      command: 'nixfmt --check .',
      allow_network: false,
      timeout_seconds: 600,
    },
  },
  flake: { checks: { enable: true }, packages: { enable: true } },
  package_change_summary: { enabled: true, max_packages_listed: 100, include_rebuild_only: false },
  rebuild_impact: { enabled: true, max_top_blast_radius: 5, compute_full_blast_radius: false },
  change_sets: [
    { paths: ['doc/**', '**/*.md'], kind: 'docs-only' },
    { paths: ['flake.lock'], kind: 'full-rebuild' },
  ],
  branches: [{ pattern: 'staging', build: 'evaluate' }],
};

/** Every key in kebab-case; names of jobs are left as they are. */
const toKebab = (value: unknown, isNames = false): unknown => {
  if (Array.isArray(value)) return value.map((item) => toKebab(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      isNames ? key : key.replaceAll('_', '-'),
      toKebab(member, !isNames && (key === 'jobs' || key === 'checks') && !('enable' in (member as object))),
    ]),
  );
};

describe('loadRepositoryConfig', () => {
  it('reads the documented example, in both spellings', async () => {
    const { config, warnings } = await valid(example);
    expect(config).toEqual({
      ...example,
      jobs: { packages: { ...example.jobs.packages, submodules: false, lfs: false } },
    });
    expect(warnings).toEqual([]);
    expect((await valid(toKebab(example))).config).toEqual(config);
  });

  it('fills in the documented defaults', async () => {
    const { config } = await valid({ jobs: { a_b: { file: '/' } }, checks: { c: { command: 'true' } } });
    expect(config).toEqual({
      jobs: {
        a_b: { file: '/', allow_eval_failures: true, caches: [], hooks: [], submodules: false, lfs: false },
      },
      checks: { c: { shell_nix: false, command: 'true', allow_network: false, timeout_seconds: 600 } },
      flake: { checks: { enable: false }, packages: { enable: false } },
      package_change_summary: { enabled: true, max_packages_listed: 100, include_rebuild_only: false },
      rebuild_impact: { enabled: true, max_top_blast_radius: 5, compute_full_blast_radius: false },
      change_sets: [],
      branches: [],
    });
  });

  it('prefers the first file, and says so when there is none', async () => {
    const jobs = (file: string): string => JSON.stringify({ jobs: { a: { file } } });
    const both = await load({ '.eka-ci/config.json': jobs('new'), '.ekaci/config.json': jobs('old') });
    expect(both).toMatchObject({ file: '.eka-ci/config.json', config: { jobs: { a: { file: 'new' } } } });
    expect(await load({ '.ekaci/config.json': jobs('old') })).toMatchObject({ file: '.ekaci/config.json' });
    expect(await load({})).toEqual({ kind: 'absent' });
    // A broken first file is not passed over in silence.
    expect((await load({ '.eka-ci/config.json': '{', '.ekaci/config.json': jobs('old') })).kind).toBe(
      'invalid',
    );
  });

  it('says where a file does not parse', async () => {
    expect(await loadText('{\n  "jobs": {\n    "a": { "file": "x" },\n  }\n}')).toMatchObject({
      kind: 'invalid',
      line: 3,
      column: 25,
      message: '.eka-ci/config.json: line 3, column 25: a comma before "}" is not JSON',
    });
    expect(complaint(await loadText('{"jobs": {"a": {"file": "x"}, "a": {"file": "y"}}}'))).toContain(
      'the key "a" is given twice',
    );
    expect(complaint(await loadText('[]'))).toContain('must be an object');
  });

  it('points at values that are out of bounds, and names the bounds', async () => {
    const text = '{\n  "checks": {\n    "c": { "command": "x",\n      "timeout-seconds": 0 }\n  }\n}';
    expect(await loadText(text)).toMatchObject({
      message:
        '.eka-ci/config.json: line 4, column 7: checks.c.timeout_seconds: must be a whole number from 1 to 86400',
      problems: [{ path: 'checks.c.timeout_seconds', line: 4, column: 7 }],
    });
    expect(await problems({ jobs: { 'my job': { file: 3, systems: ['Linux'] }, b: {} } })).toEqual([
      'jobs["my job"].file: must be a text of 1 to 1000 printable characters',
      'jobs["my job"].systems[0]: must be a Nix system such as "x86_64-linux"',
      'jobs.b.file: is missing: it must be a text of 1 to 1000 printable characters',
    ]);
    expect(await problems({ package_change_summary: { max_packages_listed: 1001 } })).toEqual([
      'package_change_summary.max_packages_listed: must be a whole number from 1 to 1000',
    ]);
    expect(await problems({ change_sets: [{ paths: [], kind: 'all' }] })).toEqual([
      'change_sets[0].paths: must name at least one pattern',
      'change_sets[0].kind: must be one of "docs-only", "no-op", "full-rebuild"',
    ]);
  });

  it('warns of unknown keys with the nearest known one, and of globs that look richer than they are', async () => {
    const { warnings, config } = await valid({
      jobs: { a: { file: 'x', allow_eval_failure: false, zzz: 1 } },
      change_sets: [{ paths: ['doc/*.{md,txt}'], kind: 'no-op' }],
      'Package-Change-Summary': {},
    });
    expect(warnings).toHaveLength(4);
    expect(warnings[0]).toBe(
      '.eka-ci/config.json: line 5, column 7: jobs.a.allow_eval_failure: unknown key, ignored; ' +
        'did you mean "allow_eval_failures"?',
    );
    expect(warnings[1]).toContain('jobs.a.zzz: unknown key, ignored; known here: file, attr_path,');
    expect(warnings[2]).toContain('did you mean "package_change_summary"?');
    expect(warnings[3]).toContain('change_sets[0].paths: only * and ** are special in "doc/*.{md,txt}"');
    expect(config.jobs['a']).not.toHaveProperty('zzz');
  });

  it('refuses a key in both spellings, and keys of older files', async () => {
    expect(await problems({ jobs: { a: { file: 'x', attr_path: 'a', 'attr-path': 'b' } } })).toEqual([
      'jobs.a.attr_path: is given twice, as "attr_path" and as "attr-path": keep one',
    ]);
    const old = await problems({
      jobs: { a: { file: 'x', 'post-build-hooks': [], fod_post_build_hooks: [] } },
      checks: { c: { command: 'x', ro_bind: ['/etc'] } },
    });
    expect(old).toHaveLength(3);
    expect(old[0]).toContain('jobs.a.post-build-hooks: is no longer read: the operator defines hooks');
    expect(old[2]).toContain('checks.c.ro_bind: is no longer read');
  });

  it('checks names', async () => {
    const job = { file: 'x' };
    expect(await problems({ jobs: { 'a\u202eb': job } })).toEqual([
      'jobs["a\u202eb"]: must be a text of 1 to 100 printable characters',
    ]);
    expect(await problems({ jobs: { ['x'.repeat(101)]: job, '': job, ' a': job } })).toHaveLength(3);
    expect(await problems({ jobs: { 'flake.checks': job } })).toHaveLength(1);
    expect(await problems({ jobs: { a: job }, checks: { a: { command: 'x' } } })).toHaveLength(1);
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`job${index}`, job]));
    expect(await problems({ jobs: many })).toEqual(['jobs: must have at most 100 jobs']);
    expect((await valid({ jobs: { 'paquets été 📦': job, constructor: job } })).config.jobs).toHaveProperty(
      'constructor',
    );
  });

  it('refuses a file that leaves the checkout already by its name', async () => {
    expect(await problems({ jobs: { a: { file: 'a/../../x' } } })).toEqual([
      'jobs.a.file: contains "..": name a file inside the repository, relative to its root',
    ]);
  });

  it('takes a byte order mark, refuses other bytes than UTF-8, and more than its share', async () => {
    const bom = new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]);
    expect((await load({ '.eka-ci/config.json': bom })).kind).toBe('valid');
    const latin1 = new Uint8Array([0x7b, 0x22, 0xe9, 0x22, 0x3a, 0x31, 0x7d]);
    expect(complaint(await load({ '.eka-ci/config.json': latin1 }))).toContain('UTF-8');
    expect((await loadText(`{}${' '.repeat(maxConfigBytes - 2)}`)).kind).toBe('valid');
    expect(complaint(await loadText(`{}${' '.repeat(maxConfigBytes - 1)}`))).toContain('1 MiB');
    expect(complaint(await loadText('{"jobs":'.repeat(10_000)))).toContain('nested deeper than');
  });

  it('makes a configuration that is not a plain file a failure, and passes other faults on', async () => {
    const failing = (code: string): Promise<LoadedConfig> =>
      loadRepositoryConfig({ read: () => Promise.reject(Object.assign(new Error('no'), { code })) });
    expect(await failing('GIT_NOT_A_FILE')).toMatchObject({ kind: 'invalid', line: null });
    await expect(failing('GIT_DISK_FULL')).rejects.toThrow('no');
  });

  it('never throws and never half-reads, whatever is in the file', async () => {
    const keys = fc.constantFrom(
      'jobs',
      'checks',
      'flake',
      'change_sets',
      'change-sets',
      'file',
      'paths',
      'kind',
      'x',
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.json().map((text): unknown => JSON.parse(text)),
        tie('list'),
        tie('object'),
      ),
      list: fc.array(tie('tree'), { maxLength: 3 }),
      object: fc.dictionary(keys, tie('tree'), { maxKeys: 4 }),
    }));
    await fc.assert(
      fc.asyncProperty(tree, async (value) => {
        const loaded = await loadValue(value);
        if (loaded.kind === 'invalid') expect(loaded.problems.length).toBeGreaterThan(0);
        else expect(loaded.kind).toBe('valid');
      }),
    );
  });
});
