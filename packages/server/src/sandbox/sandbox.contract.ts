// What every driver of the sandbox does, seen from the server's side: results, bounds, and what is left afterwards.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox, SandboxedRun, SandboxLimits, SandboxResult } from './sandbox.ts';

export interface SandboxUnderTest {
  readonly sandbox: Sandbox;
  /** Where copies of trees lie while something runs. */
  readonly copies: string;
  remove(): Promise<void>;
}

export const testLimits: SandboxLimits = {
  timeoutMs: 20_000,
  maxMemoryMib: 512,
  maxCpuSeconds: 20,
  maxProcesses: 64,
  maxOutputMib: 1,
};

const anyNumber: unknown = expect.any(Number);
const startsWithBytes: unknown = expect.stringMatching(/^bytes/);

export interface Outcome {
  readonly result: SandboxResult;
  readonly output: Buffer;
}

type Asked = Partial<Omit<SandboxedRun, 'limits'>> & {
  readonly limits?: Partial<SandboxLimits>;
  readonly signal?: AbortSignal;
};

/** Runs a shell script and keeps what it printed. */
export const runScript = async (
  sandbox: Sandbox,
  tree: string,
  script: string,
  asked: Asked = {},
): Promise<Outcome> => {
  const chunks: Uint8Array[] = [];
  const { limits, signal = new AbortController().signal, ...rest } = asked;
  const result = await sandbox.run(
    {
      tree,
      command: ['sh', '-c', script],
      env: { PATH: process.env['PATH'] ?? '' },
      allowNetwork: false,
      storePaths: [],
      onOutput: (chunk) => chunks.push(Buffer.from(chunk)),
      ...rest,
      limits: { ...testLimits, ...limits },
    },
    signal,
  );
  return { result, output: Buffer.concat(chunks) };
};

/** Folders with a text, a file and a link out of the store, all of them to be shown; and one that is hidden. */
export const makeStore = (folders: number) => {
  const path = mkdtempSync(join(tmpdir(), 'eka-ci-store of-'));
  chmodSync(path, 0o755);
  const at = (name: string): StorePath => `${path}/${'0'.repeat(32)}-${name}` as StorePath;
  const elsewhere = join(path, 'elsewhere');
  const names = Array.from({ length: folders }, (_, index) => String(index + 1));
  for (const folder of [...[...names, 'hidden'].map(at), elsewhere]) {
    mkdirSync(folder);
    writeFileSync(join(folder, 'text'), `text of ${folder.slice(folder.lastIndexOf('-') + 1)}\n`);
  }
  writeFileSync(at('file'), 'a file\n');
  symlinkSync(elsewhere, at('link'));
  return { path, at, elsewhere, shown: [...names, 'file', 'link'].map(at) };
};

/** Of what a script printed. */
export const textOf = ({ output }: Outcome): string => output.toString('utf8').trim();

/** Processes of this machine that sleep for as long. */
export const findSleepers = (time: string): string[] =>
  readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0')[1] === time;
    } catch {
      return false; // No process, or none any more.
    }
  });

export const describeSandbox = (name: string, make: () => Promise<SandboxUnderTest>): void => {
  describe(`the sandbox: ${name}`, () => {
    let under: SandboxUnderTest;
    let tree: string;
    beforeAll(async () => {
      under = await make();
      tree = mkdtempSync(join(tmpdir(), 'eka-ci-tree-'));
      chmodSync(tree, 0o755);
      mkdirSync(join(tree, 'folder'));
      writeFileSync(join(tree, 'folder', 'file'), 'text');
      writeFileSync(join(tree, 'program'), '#!/bin/sh\necho ran "$@"\n', { mode: 0o755 });
      symlinkSync('folder/file', join(tree, 'link'));
      symlinkSync('/etc/shadow', join(tree, 'shadow'));
      writeFileSync(Buffer.from(`${tree}/caf\xe9`, 'latin1'), 'bytes');
    });
    afterAll(async () => {
      rmSync(tree, { recursive: true, force: true });
      await under.remove();
    });
    const run = (script: string, asked: Asked = {}): Promise<Outcome> =>
      runScript(under.sandbox, tree, script, asked);
    const left = (): string[] => readdirSync(under.copies);

    it('says that it works, and what bounds there are', async () => {
      const check = await under.sandbox.check([]);
      expect(check).toMatchObject({ kind: 'works' });
      expect(check.kind === 'works' && check.bounds.length).toBeGreaterThan(0);
    });

    it('gives the status and what was printed, errors in their place', async () => {
      const outcome = await run('echo one; echo two >&2; echo three > /dev/stderr; exit 3');
      expect(outcome.result).toEqual({ kind: 'ended', status: 3, durationMs: anyNumber });
      expect(textOf(outcome)).toBe('one\ntwo\nthree');
    });

    it('runs in a copy of the tree, links as they are, and changes nothing of ours', async () => {
      const script = 'pwd; cat folder/file; ./program a b; readlink link shadow; cat caf*; rm -r folder; ls';
      expect(textOf(await run(script)).split('\n')).toEqual([
        '/build/source',
        'textran a b',
        'folder/file',
        '/etc/shadow',
        startsWithBytes,
        'link',
        'program',
        'shadow',
      ]);
      expect(readFileSync(join(tree, 'folder', 'file'), 'utf8')).toBe('text');
      expect(left()).toEqual([]);
    });

    it('gives the command the environment that was asked for, and nothing of the machine', async () => {
      const env = { PATH: process.env['PATH'] ?? '', 'BASH_FUNC_f%%': '() { :; }', EMPTY: '', LINES: 'a\nb' };
      const outcome = await run('', { command: ['env', '-0'], env });
      const seen: unknown = Object.fromEntries(
        outcome.output
          .toString()
          .split('\0')
          .filter(Boolean)
          .map((line) => line.split(/=(.*)/s).slice(0, 2)),
      );
      expect(seen).toEqual({
        ...env,
        ...{ HOME: '/build/home', TMPDIR: '/tmp', TMP: '/tmp', TEMP: '/tmp', TEMPDIR: '/tmp', USER: 'check' },
      });
    });

    it('has an empty home and an empty folder for temporary files, both to be written to', async () => {
      const script = 'ls -A "$HOME" "$TMPDIR"; echo a > "$HOME/a"; echo b > /tmp/b; cat ~/a /tmp/b; id -un';
      expect(textOf(await run(script))).toBe('/build/home:\n\n/tmp:\na\nb\ncheck');
    });

    it.each([
      ['a few', 3],
      ['many', 150],
    ])('shows %s paths of a store, to read, and nothing else of it', async (_name, count) => {
      const store = makeStore(count);
      const [folder, file, hidden, link] = ['1', 'file', 'hidden', 'link'].map((name) => store.at(name));
      const outcome = await run(
        `ls "${store.path}" | wc -l; cat "${folder}/text" "${file}"; readlink "${link}"
        cat "${hidden}/text" "${link}/text" 2>/dev/null; ls -d "${hidden}" 2>/dev/null
        for f in "${store.path}/mine" "${folder}/mine" "${folder}/text"; do (: > "$f") 2>/dev/null && echo wrote; done
        ls -A /nix /nix/store`,
        { storePaths: store.shown },
      );
      const told = [`${count + 2}`, 'text of 1', 'a file', store.elsewhere];
      expect(textOf(outcome).split('\n')).toEqual([...told, '/nix:', 'store', '', '/nix/store:']);
      expect(left()).toEqual([]);
      rmSync(store.path, { recursive: true });
    });

    it('runs nothing where a path of the store is not there any more', async () => {
      const store = makeStore(1);
      rmSync(store.at('1'), { recursive: true });
      const outcome = await run('echo ran', { storePaths: store.shown });
      expect(outcome.result).toMatchObject({
        kind: 'refused',
        why: expect.stringContaining(`${store.at('1')} is not in the store any more`) as unknown,
      });
      expect(textOf(outcome)).toBe('');
      rmSync(store.path, { recursive: true });
    });

    it('passes on bytes that are no text', async () => {
      expect((await run("printf '\\377\\000\\376'")).output).toEqual(Buffer.from([0xff, 0, 0xfe]));
    });

    it('says by which signal it ended', async () => {
      expect((await run('kill -TERM $$')).result).toMatchObject({ kind: 'signalled', signal: 'SIGTERM' });
    });

    it('gives the status of a shell for a program that is not there', async () => {
      const outcome = await run('', { command: ['no-such-program'] });
      expect(outcome.result).toMatchObject({ kind: 'ended', status: 127 });
      expect(textOf(outcome)).toContain('no-such-program');
    });

    it('ends what takes too long', async () => {
      const outcome = await run('echo begun; sleep 1000 & sleep 1000', { limits: { timeoutMs: 700 } });
      expect(outcome.result).toMatchObject({ kind: 'timed-out' });
      expect(textOf(outcome)).toBe('begun');
      expect(left()).toEqual([]);
    });

    it('ends what the caller does not want any more, and cleans up before it says so', async () => {
      const cancel = new AbortController();
      const running = run('echo begun; sleep 1000', {
        signal: cancel.signal,
        onOutput: () => cancel.abort(),
      });
      expect((await running).result).toMatchObject({ kind: 'cancelled' });
      expect(left()).toEqual([]);
    });

    it('starts nothing for a signal that has aborted', async () => {
      const outcome = await run('echo no', { signal: AbortSignal.abort() });
      expect(outcome).toEqual({ result: { kind: 'cancelled', durationMs: 0 }, output: Buffer.alloc(0) });
    });

    it('ends what prints too much, and keeps no more than the bound', async () => {
      const outcome = await run('yes');
      expect(outcome.result).toMatchObject({ kind: 'output-limit' });
      expect(outcome.output).toHaveLength(1024 * 1024);
    });

    it('lets it print as much as the bound', async () => {
      const outcome = await run('head -c 1048576 /dev/zero');
      expect(outcome.result).toMatchObject({ kind: 'ended', status: 0 });
      expect(outcome.output).toHaveLength(1024 * 1024);
    });

    it('ends when the command ends, whatever that left running', async () => {
      const time = `1${process.pid}.${Date.now() % 1_000_000}`;
      const outcome = await run(`(trap "" TERM HUP; sleep ${time}) & setsid sleep ${time} & exit 5`);
      expect(outcome.result).toMatchObject({ kind: 'ended', status: 5 });
      expect(findSleepers(time)).toEqual([]);
    });

    it('bounds the memory of all processes together, and of what lies in folders of memory', async () => {
      // Held for longer than between two looks.
      const eat = '{ head -c 157286400 /dev/zero; sleep 10; } | tail -n 1 >/dev/null';
      const limits = { maxMemoryMib: 256 };
      const several = await run(`${eat} & ${eat} & sleep 20 & wait`, { limits });
      expect(several.result).toMatchObject({ kind: 'out-of-memory' });
      const fill = 'for d in /tmp "$HOME" /dev/shm; do cat /dev/zero > "$d/zero"; done 2>/dev/null';
      const files = await run(`${fill}; ${eat}; echo survived`, { limits });
      expect(files.result).toMatchObject({ kind: 'out-of-memory' });
    });

    it('bounds how many processes there are', async () => {
      const outcome = await run(
        'i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); done; sleep 2; echo all',
      );
      expect(textOf(outcome)).not.toMatch(/all$/);
      expect(left()).toEqual([]);
    });

    it('removes folders that are too deep for a path, and those that were closed', async () => {
      const deep =
        'n=$(printf %0200d 0); i=0; while [ $i -lt 40 ]; do mkdir $n; cd -P $n; i=$((i+1)); done; echo $i';
      const closed = 'mkdir -p x/y; touch x/y/z; chmod 0 x/y x';
      expect(textOf(await run(`(${deep}); ${closed}`))).toBe('40');
      expect(left()).toEqual([]);
    });

    it('runs several at once', async () => {
      const outcomes = await Promise.all(
        ['a', 'b', 'c'].map((word) => run(`echo ${word} > here; cat here; ls | wc -l`)),
      );
      expect(outcomes.map(textOf)).toEqual(['a\n6', 'b\n6', 'c\n6']);
    });
  });
};
