import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { describeGit } from '../git.contract.ts';
import type { Mirror } from '../git.ts';
import { describeGitAsking } from '../git-asking.contract.ts';
import { describeRemoteCommits } from '../git-remote-commit.contract.ts';
import { describeGitSources } from '../git-sources.contract.ts';
import {
  failureOf,
  importCommit,
  initTestRepository,
  type TestRepository,
  useTestFolder,
} from '../testing/test-repository.ts';
import { createGitCli } from './git-cli.ts';

describeGit('git program', () => createGitCli({ env: process.env }));
describeGitSources('git program', () => createGitCli({ env: process.env }));
describeGitAsking('git program', (env) => createGitCli({ env }));
describeRemoteCommits('git program', (env) => createGitCli({ env }));

const isRoot = process.getuid?.() === 0;

describe('git program: what it runs on', () => {
  const folder = useTestFolder();
  const open = (env: NodeJS.ProcessEnv, path = join(folder(), 'repository')): Promise<Mirror> =>
    createGitCli({ env }).openMirror({ kind: 'local', path }, join(folder(), 'mirror'));

  it('says that git is missing or too old', async () => {
    mkdirSync(join(folder(), 'bin'));
    expect(await failureOf(open({ PATH: join(folder(), 'bin') }))).toMatch(
      /^GIT_NOT_INSTALLED.*install git 2\.38/,
    );
    writeFileSync(join(folder(), 'bin/git'), '#!/bin/sh\necho git version 2.37.4\n', { mode: 0o755 });
    expect(await failureOf(open({ PATH: join(folder(), 'bin') }))).toMatch(
      /^GIT_TOO_OLD.*git version 2\.37\.4/,
    );
  });

  it('obeys neither the configuration nor the environment of the user', async () => {
    const repository = initTestRepository(join(folder(), 'repository'));
    const tree = importCommit(repository, [{ path: 'a', mode: '100644', content: 'x\n' }]);
    writeFileSync(
      join(folder(), '.gitconfig'),
      '[core]\n\tautocrlf = true\n\tattributesFile = ~/attributes\n[broken\n',
    );
    const mirror = await open({
      ...process.env,
      HOME: folder(),
      GIT_DIR: '/nowhere',
      GIT_INDEX_FILE: '/nowhere',
      GIT_OBJECT_DIRECTORY: '/nowhere',
      GIT_CONFIG_PARAMETERS: 'broken',
      GIT_TRACE: join(folder(), 'trace'),
    });
    const exported = await mirror.exportTree(tree, join(folder(), 'out'));
    expect(readFileSync(join(exported, 'a'), 'utf8')).toBe('x\n');
    expect(readdirSync(folder()).sort()).toEqual(['.gitconfig', 'mirror', 'out', 'repository']);
  });

  it.skipIf(!isRoot)(
    'says what to do about a repository of another user, and takes the user at their word',
    async () => {
      const repository = initTestRepository(join(folder(), 'repository'));
      repository.commit('first', { a: '1' });
      chownSync(repository.path, 65_534, 65_534);
      chownSync(join(repository.path, '.git'), 65_534, 65_534);
      const env = { PATH: process.env['PATH'] ?? '', HOME: folder() };
      expect(await failureOf(open(env))).toMatch(/^GIT_UNTRUSTED_OWNER.*safe\.directory/s);
      writeFileSync(join(folder(), '.gitconfig'), `[safe]\n\tdirectory = ${repository.path}\n`);
      expect((await (await open(env)).resolve('HEAD')).subject).toBe('first');
    },
  );

  it('opens the mirror of a local repository for many at once, a new one and an old one', async () => {
    const repository = initTestRepository(join(folder(), 'repository'));
    const tree = importCommit(repository, [{ path: 'a', mode: '100644', content: 'x\n' }]);
    const git = createGitCli({ env: process.env });
    const source = { kind: 'local', path: join(folder(), 'repository') } as const;
    const readMany = (): Promise<string[]> =>
      Promise.all(
        Array.from({ length: 8 }, async () => {
          const mirror = await git.openMirror(source, join(folder(), 'mirror'));
          return Buffer.from((await mirror.readFile(tree, 'a', 10)) ?? []).toString();
        }),
      );
    const [first, second] = [await readMany(), await readMany()];
    expect(new Set([...first, ...second])).toEqual(new Set(['x\n']));
  });

  it('leaves no folder and no process behind when it is told to stop', async () => {
    const repository = initTestRepository(join(folder(), 'repository'));
    const files = Array.from({ length: 5000 }, (_, index) => `d${index % 100}/f${index}`);
    const tree = importCommit(
      repository,
      files.map((path) => ({ path, mode: '100644', content: path })),
    );
    const abort = new AbortController();
    const mirror = await createGitCli({ env: process.env }).openMirror(
      { kind: 'local', path: repository.path },
      join(folder(), 'mirror'),
      abort.signal,
    );
    const out = join(folder(), 'out');
    mkdirSync(out);
    const exporting = mirror.exportTree(tree, out);
    exporting.catch(() => {});
    while (readdirSync(out).flatMap((name) => readdirSync(join(out, name))).length < 5) await delay(1);
    abort.abort(new Error('no longer wanted'));
    await expect(exporting).rejects.toThrow('no longer wanted');
    expect(readdirSync(out)).toEqual([]);
    expect(readdirSync(join(folder(), 'mirror')).filter((name) => name.startsWith('export-'))).toEqual([]);
    const running = readdirSync('/proc').filter((pid) => {
      try {
        return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').includes(folder());
      } catch {
        return false;
      }
    });
    expect(running).toEqual([]);
    await expect(mirror.resolve('imported')).rejects.toThrow('no longer wanted');
  });
});

/** True when a small file system could be mounted there; only root may, and not in every container. */
const mountSmall = (path: string): boolean => {
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

describe('git program: disks that take no more', () => {
  const folder = useTestFolder();
  const mounted: string[] = [];
  afterEach(() => {
    for (const path of mounted.splice(0)) execFileSync('umount', [path]);
  });
  const setUp = (skip: (note: string) => void): { repository: TestRepository; disk: string } => {
    const repository = initTestRepository(join(folder(), 'repository'));
    const disk = join(folder(), 'disk');
    if (!isRoot || !mountSmall(disk)) skip('needs root and the right to mount a tmpfs');
    else mounted.push(disk);
    return { repository, disk };
  };
  const fill = (disk: string): void => {
    try {
      for (let size = 1 << 20; size >= 1; size >>= 1)
        writeFileSync(join(disk, `filler-${size}`), new Uint8Array(size));
    } catch {
      // Full, which was wanted; what fitted of the file stays.
    }
  };

  it('says so when the disk is full, and leaves nothing of the export', async ({ skip }) => {
    const { repository, disk } = setUp(skip);
    const tree = importCommit(repository, [
      { path: 'big', mode: '100644', content: new Uint8Array(3 << 20).fill(120) },
    ]);
    const base = repository.git('rev-parse', 'imported');
    const git = createGitCli({ env: process.env });
    const source = { kind: 'local', path: repository.path } as const;
    const mirror = await git.openMirror(source, join(folder(), 'mirror'));
    expect(await failureOf(mirror.exportTree(tree, join(disk, 'out')))).toContain('GIT_DISK_FULL: ');
    expect(readdirSync(join(disk, 'out'))).toEqual([]);
    const onDisk = await git.openMirror(source, join(disk, 'mirror'));
    fill(disk);
    expect(await failureOf(onDisk.exportTree(tree, join(folder(), 'out')))).toContain('GIT_DISK_FULL: ');
    expect(await failureOf(git.openMirror(source, join(disk, 'another')))).toContain('GIT_DISK_FULL: ');
    expect(readdirSync(disk)).not.toContain('another');
    repository.git('checkout', '--quiet', '-b', 'a', base);
    const a = repository.commit('a', { a: '1' });
    repository.git('checkout', '--quiet', '-b', 'b', base);
    const b = repository.commit('b', { b: '1' });
    expect(await failureOf(onDisk.trialMerge(a, b))).toContain('GIT_DISK_FULL: ');
    const url = { kind: 'url', url: `file://${repository.path}` } as const;
    expect(await failureOf(git.openMirror(url, join(disk, 'fetched')))).toContain('GIT_DISK_FULL: ');
  });

  it('says so when the disk is read-only', async ({ skip }) => {
    const { repository, disk } = setUp(skip);
    const commit = repository.commit('first', { a: '1' });
    const git = createGitCli({ env: process.env });
    const source = { kind: 'local', path: repository.path } as const;
    const onDisk = await git.openMirror(source, join(disk, 'mirror'));
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    expect(await failureOf(git.openMirror(source, join(disk, 'another')))).toContain('GIT_READ_ONLY: ');
    const tree = repository.treeOf(commit);
    const mirror = await git.openMirror(source, join(folder(), 'mirror'));
    expect(await failureOf(mirror.exportTree(tree, join(disk, 'out')))).toContain('GIT_READ_ONLY: ');
    expect(await failureOf(onDisk.exportTree(tree, join(folder(), 'out')))).toContain('GIT_READ_ONLY: ');
    // Reading needs no space and no right to write.
    expect((await onDisk.resolve('main')).sha).toBe(commit);
    rmSync(join(folder(), 'mirror'), { recursive: true });
  });
});
