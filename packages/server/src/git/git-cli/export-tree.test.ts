import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Mirror } from '../git.ts';
import {
  failureOf,
  fingerprint,
  type ImportedFile,
  importCommit,
  initTestRepository,
  type TestRepository,
  useTestFolder,
} from '../testing/test-repository.ts';
import { createGitCli } from './git-cli.ts';

/** Every file below a folder as `path in hexadecimal, mode, content in base64`, byte for byte. */
const readExported = (root: string): string[] => {
  const found: string[] = [];
  const visit = (folder: Buffer): void => {
    for (const name of readdirSync(Buffer.concat([Buffer.from(`${root}/`), folder]), {
      encoding: 'buffer',
    })) {
      const path = folder.length === 0 ? name : Buffer.concat([folder, Buffer.from('/'), name]);
      const full = Buffer.concat([Buffer.from(`${root}/`), path]);
      const status = lstatSync(full);
      if (status.isDirectory()) visit(path);
      else {
        const link = status.isSymbolicLink();
        const content = link ? readlinkSync(full, { encoding: 'buffer' }) : readFileSync(full);
        const mode = link ? '120000' : (status.mode & 0o111) === 0 ? '100644' : '100755';
        found.push(`${path.toString('hex')} ${mode} ${content.toString('base64')}`);
      }
    }
  };
  visit(Buffer.alloc(0));
  return found.sort();
};

const described = (files: readonly ImportedFile[]): string[] =>
  files
    .map(
      ({ path, mode, content }) =>
        `${Buffer.from(path).toString('hex')} ${mode} ${Buffer.from(content).toString('base64')}`,
    )
    .sort();

const text = (path: string, content = path): ImportedFile => ({ path, mode: '100644', content });

/** Names of bytes that no file system of ours refuses; `.git` and its like are told of elsewhere. */
const component = fc
  .oneof(
    fc
      .uint8Array({ min: 1, minLength: 1, maxLength: 12 })
      .map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0x2f))),
    fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .map((name) => Buffer.from(name.replace(/[/\0]/g, ''))),
    fc
      .constantFrom('a', 'A', 'b ', 'b.', '-rf', '*', '.gitattributes', '.gitignore')
      .map((name) => Buffer.from(name)),
  )
  .filter(
    (name) =>
      name.length > 0 && !/^\.{1,2}$/.test(name.toString()) && !/git|\ufffd?~1/i.test(name.toString()),
  );

const anyFile = fc.record({
  path: fc
    .array(component, { minLength: 1, maxLength: 4 })
    .map((parts) => parts.map((part) => part.toString('latin1')).join('/')),
  mode: fc.constantFrom('100644' as const, '100755' as const, '120000' as const),
  content: fc.oneof(
    fc.uint8Array({ min: 1, minLength: 1, maxLength: 60 }),
    fc.constantFrom('a\r\nb\n', '$Id$', '\ufeffx'),
  ),
});

/** Files of which none lies below another. */
const anyFiles = fc.array(anyFile, { maxLength: 12 }).map((files) => {
  const kept = new Map<string, ImportedFile>();
  const folders = new Set<string>();
  for (const file of files) {
    const above = file.path
      .split('/')
      .slice(1)
      .map((_, at) => file.path.split('/', at + 1).join('/'));
    if (folders.has(file.path) || kept.has(file.path) || above.some((folder) => kept.has(folder))) continue;
    for (const folder of above) folders.add(folder);
    kept.set(file.path, { ...file, path: Buffer.from(file.path, 'latin1') });
  }
  return [...kept.values()];
});

describe('exportTree', () => {
  const folder = useTestFolder();
  const setUp = async (): Promise<{ repository: TestRepository; mirror: Mirror }> => {
    const repository = initTestRepository(join(folder(), 'repository'));
    const source = { kind: 'local', path: repository.path } as const;
    return {
      repository,
      mirror: await createGitCli({ env: process.env }).openMirror(source, join(folder(), 'mirror')),
    };
  };
  /** A tree made entry by entry, as no git command would make it. */
  const rawTree = (repository: TestRepository, entries: string): TreeSha =>
    repository.gitWith(entries, 'mktree', '-z', '--missing') as TreeSha;

  it('property: an export is what was committed', async () => {
    const { repository, mirror } = await setUp();
    await fc.assert(
      fc.asyncProperty(anyFiles, async (files) => {
        const tree = importCommit(repository, files);
        const parent = mkdtempSync(join(folder(), 'out-'));
        const exported = await mirror.exportTree(tree, parent);
        expect(exported).toBe(join(parent, 'source'));
        expect(readExported(exported)).toEqual(described(files));
      }),
      { numRuns: 20 },
    );
    expect(readdirSync(join(folder(), 'mirror')).filter((name) => name.startsWith('export-'))).toEqual([]);
  });

  it('obeys no attribute of the tree', async () => {
    const { repository, mirror } = await setUp();
    const attributes = [
      '* text eol=crlf ident',
      '*.u16 working-tree-encoding=UTF-16',
      '*.bin filter=lfs diff=lfs merge=lfs -text',
      'hidden export-ignore',
      '*.subst export-subst',
    ].join('\n');
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';
    const files = [
      text('.gitattributes', attributes),
      text('unix', 'a\nb\n'),
      text('dos', 'a\r\nb\r\n'),
      text('sub/id', '$Id$\n$Id: 0123 $\n'),
      text('x.u16', 'text'),
      text('x.bin', pointer),
      text('hidden'),
      text('x.subst', '$Format:%H$'),
    ];
    const exported = await mirror.exportTree(importCommit(repository, files), join(folder(), 'out'));
    expect(readExported(exported)).toEqual(described(files));
  });

  it('writes strange names, links that lead out, executables, and empty folders for submodules', async () => {
    const { repository, mirror } = await setUp();
    const names = [
      'README',
      'readme',
      'b ',
      'b.',
      'a\nb',
      'tab\t',
      '"quoted"',
      'back\\slash',
      '-rf',
      '*',
      ':(glob)x',
      'con',
      'x:y',
    ];
    const deep = Array.from({ length: 12 }, () => 'd'.repeat(255)).join('/');
    const files: ImportedFile[] = [
      ...[...names, 'caf\u00e9', 'cafe\u0301', '\u{1f4e6}', deep].map((name) => text(name)),
      { path: 'run.sh', mode: '100755', content: '#!/bin/sh\n' },
      { path: 'out', mode: '120000', content: '../../../etc/passwd' },
      { path: 'absolute', mode: '120000', content: '/etc/passwd' },
      { path: 'dangling', mode: '120000', content: 'no\nwhere' },
    ];
    const tree = importCommit(repository, files, { 'vendor/sub': '1'.repeat(40) });
    const first = await mirror.exportTree(tree, join(folder(), 'one'));
    const second = await mirror.exportTree(tree, join(folder(), 'two/deeper'));
    expect(readExported(first)).toEqual(described(files));
    expect(readdirSync(join(first, 'vendor/sub'))).toEqual([]);
    expect(await mirror.submodules(tree)).toEqual(['vendor/sub']);
    expect(fingerprint(first)).toEqual(fingerprint(second));
    expect(readdirSync(join(folder(), 'one'))).toEqual(['source']);
    expect((lstatSync(first).mode & 0o777).toString(8)).toBe('755');
  });

  it('refuses trees that could harm a checkout, and leaves nothing behind', async () => {
    const { repository, mirror } = await setUp();
    const blob = repository.gitWith('x', 'hash-object', '-w', '--stdin');
    const elsewhere = join(folder(), 'elsewhere');
    mkdirSync(elsewhere);
    const link = repository.gitWith(elsewhere, 'hash-object', '-w', '--stdin');
    const inner = rawTree(repository, `100644 blob ${blob}\tx\0`);
    const out = join(folder(), 'out');
    for (const name of ['.git', '.GIT', '..', '.', 'git~1', '.git ', '.g\u200cit']) {
      for (const entry of [`100644 blob ${blob}\t${name}\0`, `040000 tree ${inner}\t${name}\0`]) {
        expect(`${name}: ${await failureOf(mirror.exportTree(rawTree(repository, entry), out))}`).toContain(
          'GIT_UNSAFE_TREE',
        );
      }
    }
    // The same name as a link and as a folder: what lies in the folder must not be written through the link.
    const both = rawTree(repository, `120000 blob ${link}\ta\x00040000 tree ${inner}\ta\0`);
    await failureOf(mirror.exportTree(both, join(folder(), 'both')));
    expect(readdirSync(elsewhere)).toEqual([]);
    const longer = importCommit(repository, [
      text(Array.from({ length: 20 }, () => 'd'.repeat(255)).join('/'), 'x'),
    ]);
    expect(await failureOf(mirror.exportTree(longer, out))).toContain('GIT_PATH_TOO_LONG');
    expect(readdirSync(out)).toEqual([]);
  });

  it('refuses a tree that is larger than any package set, before it writes any of it', async () => {
    const { repository, mirror } = await setUp();
    const blob = repository.gitWith('\0'.repeat(4 * 1024 * 1024), 'hash-object', '-w', '--stdin');
    const entries = Array.from({ length: 2100 }, (_, at) => `100644 blob ${blob}\tf${at}\0`);
    const large = rawTree(repository, entries.join(''));
    const out = join(folder(), 'out');
    expect(await failureOf(mirror.exportTree(large, out))).toMatch(
      /^GIT_TREE_TOO_LARGE: the commit is larger than 8192 MiB/,
    );
    expect(existsSync(out)).toBe(false);
  });

  it('overwrites nothing', async () => {
    const { repository, mirror } = await setUp();
    const tree = importCommit(repository, [text('a')]);
    mkdirSync(join(folder(), 'out/source'), { recursive: true });
    writeFileSync(join(folder(), 'out/source/mine'), '');
    expect(await failureOf(mirror.exportTree(tree, join(folder(), 'out')))).toContain('GIT_EXPORT_EXISTS');
    expect(readdirSync(join(folder(), 'out'))).toEqual(['source']);
    expect(readdirSync(join(folder(), 'out/source'))).toEqual(['mine']);
  });
});
