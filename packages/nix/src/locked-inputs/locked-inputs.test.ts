// Lock files read, and what they lock put into a real store so that an evaluation without network finds it.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationTarget } from '../evaluator/evaluator.ts';
import { createStockEvaluator } from '../evaluator/stock/stock-evaluator.ts';
import { collectEvaluation } from '../evaluator/testing/collect.ts';
import { makeTemporaryStore, type TemporaryStore } from '../evaluator/testing/temporary-store.ts';
import { fixedOutputPath, formatSri, parseSha256 } from '../nix-hash.ts';
import { readFlakeLock } from './flake-lock.ts';
import { createInputStore, downloadName } from './input-store.ts';
import type { LockedInput, ReadLockFile } from './locked-input.ts';
import { readNiv, readNpins } from './source-files.ts';
import { webAddressOf } from './web-address.ts';

const hashOf = (fill: number): string => formatSri(Buffer.alloc(32, fill));
const storeDir = '/nix/store';
const read = (lock: ReadLockFile) => {
  if (lock.kind !== 'read') throw new Error(lock.why);
  return lock;
};
const only = (lock: ReadLockFile): LockedInput => {
  const [input] = read(lock).inputs;
  if (input === undefined) throw new Error('nothing is locked');
  return input;
};

/** Of a flake. */
const packages = {
  kind: 'flake',
  output: 'packages',
  systems: ['s'],
  rev: null,
  lastModified: null,
} as const;

describe('a hash', () => {
  it('is the same in every spelling', () => {
    const hex = createHash('sha256').update('x').digest('hex');
    const bytes = Buffer.from(hex, 'hex');
    const spellings = [hex, hex.toUpperCase(), `sha256:${hex}`, formatSri(bytes), bytes.toString('base64')];
    expect(spellings.map((one) => parseSha256(one)?.toString('hex'))).toEqual(spellings.map(() => hex));
    expect(
      ['', 'sha512-x', hex.slice(1), `md5:${hex}`, 'z'.repeat(52), formatSri(bytes).slice(0, -2)].map(
        parseSha256,
      ),
    ).toEqual(Array.from({ length: 6 }, () => null));
  });
});

const lockOf = (nodes: Readonly<Record<string, unknown>>, version = 7): string =>
  JSON.stringify({ version, root: 'root', nodes: { root: { inputs: {} }, ...nodes } });
const rev = 'a'.repeat(40);

describe('flake.lock', () => {
  it.each([
    [{ type: 'github', owner: 'o', repo: 'r', rev }, `https://github.com/o/r/archive/${rev}.tar.gz`],
    [
      { type: 'github', owner: 'o', repo: 'r', rev, host: 'ghe.example' },
      `https://ghe.example/o/r/archive/${rev}.tar.gz`,
    ],
    [
      { type: 'gitlab', owner: 'g%2Fsub', repo: 'r', rev },
      `https://gitlab.com/api/v4/projects/g%2Fsub%2Fr/repository/archive.tar.gz?sha=${rev}`,
    ],
    [{ type: 'sourcehut', owner: '~o', repo: 'r', rev }, `https://git.sr.ht/~o/r/archive/${rev}.tar.gz`],
    [{ type: 'tarball', url: 'https://x.example/a.tar.xz' }, 'https://x.example/a.tar.xz'],
    [{ type: 'git', url: 'https://x.example/r', rev, ref: 'main', revCount: 3 }, 'https://x.example/r'],
  ])('leads from %j to %s', (locked, url) => {
    const node = { locked: { narHash: hashOf(1), lastModified: 1, ...locked } };
    expect(only(readFlakeLock(lockOf({ dep: node }), storeDir))).toMatchObject({
      name: 'dep',
      url,
      of: 'tree',
      storeName: 'source',
    });
  });

  it.each([
    ['git that is no web', { type: 'git', url: 'file:///etc', rev, narHash: hashOf(1) }],
    ['git over a program', { type: 'git', url: 'ext::sh -c id', rev, narHash: hashOf(1) }],
    ['ssh to nowhere', { type: 'git', url: 'ssh://', rev, narHash: hashOf(1) }],
    ['LFS', { type: 'git', url: 'https://x.example/r', rev, lfs: true, narHash: hashOf(1) }],
    ['git at no commit', { type: 'git', url: 'https://x.example/r', narHash: hashOf(1) }],
    [
      'a path outside of the repository',
      { type: 'github', owner: '..', repo: '../..', rev, narHash: hashOf(1) },
    ],
    [
      'a revision that is none',
      { type: 'github', owner: 'o', repo: 'r', rev: 'main/../../x', narHash: hashOf(1) },
    ],
    [
      'a host with a user',
      { type: 'github', owner: 'o', repo: 'r', rev, host: 'x@10.0.0.1', narHash: hashOf(1) },
    ],
    ['no hash', { type: 'tarball', url: 'https://x.example/' }],
    ['another hash', { type: 'tarball', url: 'https://x.example/', narHash: 'sha1-AAAA' }],
    ['what is new', { type: 'later', narHash: hashOf(1) }],
    ['no type', { narHash: hashOf(1) }],
  ])('passes over %s, and says so', (_, locked) => {
    const { inputs, passedOver } = read(readFlakeLock(lockOf({ dep: { locked } }), storeDir));
    expect(inputs).toEqual([]);
    expect(passedOver).toEqual([{ name: 'dep', why: expect.any(String) as unknown }]);
  });

  it('leads from ssh to the same place on the web, and knows of submodules', () => {
    const locked = { type: 'git', url: 'ssh://git@x.example:2222/o/r.git', rev, submodules: true };
    const lock = lockOf({ dep: { locked: { ...locked, narHash: hashOf(1) } } });
    expect(only(readFlakeLock(lock, storeDir))).toMatchObject({
      ...{ url: 'https://x.example/o/r.git', commit: rev, isOverSsh: true, submodules: true },
    });
  });

  it('names the same but once, and of its own tree nothing', () => {
    const node = { locked: { type: 'tarball', url: 'https://x.example/a', narHash: hashOf(1) } };
    const own = { locked: { type: 'path', path: './sub', narHash: hashOf(2) } };
    const { inputs, passedOver } = read(readFlakeLock(lockOf({ a: node, b: node, own }), storeDir));
    expect([inputs.length, passedOver]).toEqual([1, []]);
  });
});

it.each([
  ['ssh://git@x.example/o/r', 'https://x.example/o/r'],
  ['git+ssh://x.example:22/o/r.git', 'https://x.example/o/r.git'],
  ['ssh+git://u:p@x.example/~u/r', 'https://x.example/~u/r'],
  ['git://x.example/r', 'https://x.example/r'],
  ['git@x.example:o/r.git', 'https://x.example/o/r.git'],
  ['x.example:/srv/r', 'https://x.example/srv/r'],
  ['http://x.example:81/r', 'http://x.example:81/r'],
  ['https://x.example/r', 'https://x.example/r'],
  ...[
    ...[
      '',
      '/srv/r',
      '../r',
      'file:///srv/r',
      'c:/r',
      'ext::sh -c id',
      'fd::1',
      'x.example::r',
      '-oProxyCommand=id',
    ],
    ...[
      'ssh://',
      'ssh:///r',
      'ssh://x.example/',
      'ssh://-oProxyCommand=id/',
      'ssh://x.example/a b',
      'https://',
    ],
    ...['git@x.example:a b', 'ssh://x.example\\\\y/r', 'git@[::1', '--upload-pack=id', 'a:b:c@d'],
  ].map((one): [string, null] => [one, null]),
])('%j is at %j on the web', (url, expected) => {
  expect(webAddressOf(url)?.url ?? null).toBe(expected);
});

it('a file of sources may be anything: nothing is thrown', () => {
  const json = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((one) => `{"version":7,"nodes":${one},"pins":${one}}`),
  );
  fc.assert(
    fc.property(json, (text) => {
      for (const lock of [
        readFlakeLock(text, storeDir),
        readNpins(text, storeDir),
        readNiv(text, null, storeDir),
      ]) {
        expect(['read', 'unreadable']).toContain(lock.kind);
      }
    }),
  );
});

describe('sources of npins and niv', () => {
  const hash = hashOf(3);
  it('lead to what their Nix files fetch', () => {
    const pins = {
      hosted: {
        type: 'Git',
        repository: { type: 'GitHub', owner: 'o', repo: 'r' },
        revision: rev,
        url: 'https://x.example/r.tar.gz',
        hash,
      },
      plain: {
        type: 'Git',
        repository: { type: 'Git', url: 'https://x.example/r' },
        revision: rev,
        url: null,
        hash,
      },
      modules: { type: 'Git', url: 'https://x.example/r.tar.gz', submodules: true, hash },
      python: { type: 'PyPi', url: 'https://x.example/p-1.0.tar.gz', hash },
      locked: {
        type: 'Tarball',
        url: 'https://x.example/latest',
        locked_url: 'https://x.example/1',
        hash: hashOf(4),
      },
      open: { type: 'Channel', url: 'https://x.example/c' },
      other: { type: 'Container', url: 'https://x.example/c', hash },
    };
    const { inputs, passedOver } = read(readNpins(JSON.stringify({ version: 5, pins }), storeDir));
    expect(inputs.map(({ name, url, of, storeName }) => [name, url, of, storeName])).toEqual([
      ['hosted', 'https://x.example/r.tar.gz', 'tree', 'source'],
      ['python', 'https://x.example/p-1.0.tar.gz', 'file', 'p-1.0.tar.gz'],
      ['locked', 'https://x.example/1', 'tree', 'source'],
    ]);
    expect(passedOver.map(({ name }) => name)).toEqual(['plain', 'modules', 'other']);
  });

  it('of niv are named by its own Nix file', () => {
    const sources = {
      'a b': { type: 'tarball', url: 'https://x.example/a.tar.gz', sha256: hash },
      one: { type: 'file', url: 'https://x.example/one.txt', sha256: hash },
      git: { type: 'git', repo: 'https://x.example/r', rev },
      here: { type: 'local', path: './x' },
    };
    const named = (sourcesNix: string | null) =>
      read(readNiv(JSON.stringify(sources), sourcesNix, storeDir)).inputs.map(({ storeName }) => storeName);
    expect(named('name\' = sanitizeName name + "-src";')).toEqual(['a-b-src', 'one-src']);
    expect(named(null)).toEqual(['source', 'one.txt']);
  });
});

describe('what was downloaded', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore();
  });
  afterAll(() => store.remove());
  const { signal } = new AbortController();

  const run = async (command: string, args: readonly string[]): Promise<string> => {
    const done = await runChild({ command, args: [...args], env: store.nix.env });
    if (done.code !== 0) throw new Error(done.stderr);
    return done.stdout.trim();
  };

  let made = 0;
  /** A folder as `nix-prefetch-url` would see it, its archive, and its hash; the store does not have it. */
  const pack = async (files: Readonly<Record<string, string>>) => {
    made += 1;
    const folder = join(store.folder, `download-${made}`);
    const tree = join(store.folder, `content-${made}`, 'top');
    await mkdir(folder);
    await mkdir(tree, { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(tree, name), text);
    await run('tar', ['-czf', join(folder, downloadName), '-C', join(tree, '..'), 'top']);
    const added = await run(store.nix.programs.store, ['--add-fixed', '--recursive', 'sha256', tree]);
    const hash = parseSha256(await run(store.nix.programs.store, ['--query', '--hash', added]));
    await run(store.nix.programs.store, ['--delete', '--ignore-liveness', added]);
    return { folder, hash: formatSri(hash ?? Buffer.alloc(0)) };
  };

  const add = (input: LockedInput, folder: string) =>
    createInputStore(store.nix).add({ input, folder, sandbox: 'preferred', timeoutMs: 60_000 }, signal);

  const evaluate = async (tree: string, target: EvaluationTarget) => {
    const { end, records } = await collectEvaluation(createStockEvaluator(store.nix), {
      ...{
        tree,
        target,
        limits: { workers: 1, maxMemoryMib: 2048, timeoutMs: 60_000 },
        rootsDir: join(store.folder, 'roots'),
      },
      ...{ allowImportFromDerivation: false, allowNetwork: false, sandbox: 'preferred' as const },
    });
    return { end, records };
  };

  it('is found by an evaluation of a flake that has no network', async () => {
    const { folder, hash } = await pack({ 'flake.nix': '{ outputs = _: { name = "from-the-input"; }; }' });
    const lock = lockOf({
      root: { inputs: { dep: 'dep' } },
      dep: {
        locked: { type: 'github', owner: 'o', repo: 'r', rev, lastModified: 1, narHash: hash },
        original: { type: 'github', owner: 'o', repo: 'r' },
      },
    });
    const flake = `{ inputs.dep.url = "github:o/r"; outputs = { dep, ... }: { packages.s.a = derivation { name = dep.name; system = "s"; builder = "/bin/sh"; }; }; }`;
    const tree = await store.tree({ 'flake.nix': flake, 'flake.lock': lock });
    const before = await evaluate(tree, packages);
    const [failed] = before.records;
    if (failed?.kind !== 'failed') throw new Error('it was evaluated without its input');
    expect(failed.failure.kind).toBe('network');
    expect(failed.failure.message).toContain('evaluation.allow_network');
    const input = only(readFlakeLock(lock, store.nix.storeDir));
    expect(await add(input, folder)).toEqual({ kind: 'added' });
    const after = await evaluate(tree, packages);
    expect(after.records).toMatchObject([{ kind: 'derivation', name: 'from-the-input' }]);
    const roots = join(store.folder, 'locked-roots');
    expect(await createInputStore(store.nix).keep([input], roots)).toBe(true);
    const [link = '', ...others] = await readdir(roots);
    expect(others).toEqual([]);
    const kept = await run(store.nix.programs.store, ['--query', '--references', join(roots, link)]);
    expect(kept).toBe(input.storePath);
  });

  it('is found under the address of ssh, with submodules, where only its files were there', async () => {
    const tree = join(store.folder, 'with-submodules', 'source');
    await mkdir(join(tree, 'lib', 'sub'), { recursive: true });
    await writeFile(
      join(tree, 'flake.nix'),
      '{ outputs = _: { name = builtins.readFile ./lib/sub/name; }; }',
    );
    await writeFile(join(tree, 'lib', 'sub', 'name'), 'from-below');
    const added = await run(store.nix.programs.store, ['--add-fixed', '--recursive', 'sha256', tree]);
    const hash = await run(store.nix.programs.store, ['--query', '--hash', added]);
    await run(store.nix.programs.store, ['--delete', '--ignore-liveness', added]);
    const place = { type: 'git', url: 'ssh://git@x.invalid/o/r', submodules: true };
    const known = { rev, ref: 'refs/heads/main', lastModified: 1, revCount: 1 };
    const narHash = formatSri(parseSha256(hash) ?? Buffer.alloc(0));
    const lock = lockOf({
      root: { inputs: { dep: 'dep' } },
      dep: { locked: { ...place, ...known, narHash }, original: place },
    });
    const flake = `{ inputs.dep.url = "git+ssh://git@x.invalid/o/r?submodules=1"; outputs = { dep, ... }: { packages.s.a = derivation { name = dep.name; system = "s"; builder = "/bin/sh"; }; }; }`;
    const flakeTree = await store.tree({ 'flake.nix': flake, 'flake.lock': lock });
    const input = only(readFlakeLock(lock, store.nix.storeDir));
    const inputs = createInputStore(store.nix);
    await writeFile(join(tree, 'lib', 'sub', 'more'), '');
    const before = await readdir(store.nix.storeDir);
    const asked = { input, tree, timeoutMs: 60_000 };
    expect(await inputs.addTree(asked, signal)).toEqual({
      kind: 'refused',
      why: 'its content is not what was locked',
    });
    // Nothing of it is anywhere, under whatever name.
    expect(await readdir(store.nix.storeDir)).toEqual(before);
    await rm(join(tree, 'lib', 'sub', 'more'));
    expect(await inputs.addTree(asked, signal)).toEqual({ kind: 'added' });
    const { records } = await evaluate(flakeTree, packages);
    expect(records).toMatchObject([{ kind: 'derivation', name: 'from-below' }]);
  });

  it('says nothing of what is private and not what was locked, and keeps nothing of it', async () => {
    const { folder } = await pack({ secret: 'of somebody' });
    const pins = { p: { type: 'Git', url: 'https://x.example/', hash: hashOf(9) } };
    const input = only(readNpins(JSON.stringify({ version: 5, pins }), store.nix.storeDir));
    const before = await readdir(store.nix.storeDir);
    const asked = { input, folder, sandbox: 'preferred', timeoutMs: 60_000, isPrivate: true } as const;
    expect(await createInputStore(store.nix).add(asked, signal)).toEqual({
      kind: 'refused',
      why: 'its content is not what was locked',
    });
    expect(await readdir(store.nix.storeDir)).toEqual(before);
  });

  it('is found by what npins and niv fetch', async () => {
    const { folder, hash } = await pack({ 'default.nix': '"from-the-pin"' });
    const [url, text] = ['http://127.0.0.1:1/r.tar.gz', 'text'];
    const fileHash = createHash('sha256').update(text).digest('hex');
    const pin = only(
      readNpins(JSON.stringify({ version: 5, pins: { p: { type: 'Git', url, hash } } }), store.nix.storeDir),
    );
    const sources = {
      n: { type: 'tarball', url, sha256: hash },
      f: { type: 'file', url: 'http://127.0.0.1:1/f.txt', sha256: fileHash },
    };
    const niv = read(readNiv(JSON.stringify(sources), '"-src"', store.nix.storeDir)).inputs;
    const textFolder = join(store.folder, 'text');
    await mkdir(textFolder);
    await writeFile(join(textFolder, downloadName), text);
    for (const input of [pin, ...niv]) {
      expect(await add(input, input.of === 'file' ? textFolder : folder)).toEqual({ kind: 'added' });
    }
    const tree = await store.tree({
      'default.nix': `let make = name: derivation { inherit name; system = "s"; builder = "/bin/sh"; }; in {
        npins = make (import (builtins.fetchTarball { url = "${url}"; sha256 = "${hash}"; }));
        niv = make (import (builtins.fetchTarball { name = "n-src"; url = "${url}"; sha256 = "${hash}"; }));
        file = make (builtins.readFile (builtins.fetchurl { name = "f-src"; url = "http://127.0.0.1:1/f.txt"; sha256 = "${fileHash}"; }));
      }`,
    });
    const { end, records } = await evaluate(tree, { kind: 'file', file: 'default.nix', attrPath: [] });
    expect(end.kind).toBe('complete');
    expect(
      records
        .map((record) => (record.kind === 'derivation' ? record.name : ''))
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual(['from-the-pin', 'from-the-pin', 'text']);
  });

  it('is refused where its hash is another, or it leads out of its folder', async () => {
    const { folder } = await pack({ x: 'x' });
    const input = only(
      readNpins(
        JSON.stringify({
          version: 5,
          pins: { p: { type: 'Git', url: 'https://x.example/', hash: hashOf(9) } },
        }),
        store.nix.storeDir,
      ),
    );
    expect(await add(input, folder)).toMatchObject({
      kind: 'refused',
      why: expect.stringMatching(/not what was locked: its hash is sha256/) as unknown,
    });
    const hostile = join(store.folder, 'hostile');
    await mkdir(hostile);
    await writeFile(join(store.folder, 'victim'), 'mine');
    const transform = [
      '--absolute-names',
      '--transform',
      's,victim,top/../../../../../../../../../../tmp/eka-ci-escaped,',
    ];
    await run('tar', ['-cf', join(hostile, downloadName), '-C', store.folder, ...transform, 'victim']);
    expect(await add(input, hostile)).toMatchObject({ kind: 'refused' });
    expect(existsSync('/tmp/eka-ci-escaped')).toBe(false);
    await writeFile(join(hostile, downloadName), 'no archive');
    expect(await add(input, hostile)).toMatchObject({ kind: 'refused' });
  });

  it('is refused where it unpacks to more than there is room for', async () => {
    const { folder, hash } = await pack({ x: Buffer.from(randomBytes(6 * 1024 * 1024)).toString('hex') });
    const pins = { p: { type: 'Git', url: 'https://x.example/', hash } };
    const input = only(readNpins(JSON.stringify({ version: 5, pins }), store.nix.storeDir));
    const bounds = { timeoutMs: 60_000, maxUnpackedBytes: 2 * 1024 * 1024 };
    expect(
      await createInputStore(store.nix).add({ input, folder, sandbox: 'required', ...bounds }, signal),
    ).toEqual({
      kind: 'refused',
      why: 'it unpacks to more than 2 MiB (or the disk of the store is full)',
    });
  });

  it('lies where Nix says that it lies', async () => {
    for (const kind of ['tree', 'file'] as const) {
      const file = join(store.folder, `some-${kind}`);
      await writeFile(file, kind);
      const args = ['--add-fixed', ...(kind === 'tree' ? ['--recursive'] : []), 'sha256', file];
      const path = await run(store.nix.programs.store, args);
      const nar = parseSha256(await run(store.nix.programs.store, ['--query', '--hash', path]));
      const sha256 = kind === 'tree' ? nar : createHash('sha256').update(kind).digest();
      expect(
        fixedOutputPath({
          storeDir: store.nix.storeDir,
          name: `some-${kind}`,
          of: kind,
          sha256: sha256 ?? Buffer.alloc(0),
        }),
      ).toBe(path);
    }
  });
});
