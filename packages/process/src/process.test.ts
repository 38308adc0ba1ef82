import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  endAllChildren,
  findMarked,
  findProgram,
  readLines,
  runChild,
  StartError,
  startChild,
} from './process.ts';

const env = { PATH: process.env['PATH'] ?? '' };

const sh = (script: string) => ({ command: 'sh', args: ['-c', script], env });

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // A zombie still takes signals: nobody may have reaped an orphan yet.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

const linesOf = async (stream: Readable, max?: number): Promise<string[]> => {
  const lines: string[] = [];
  for await (const line of readLines(stream, max)) lines.push(line);
  return lines;
};

const nextLine = async (stream: Readable): Promise<string> => {
  const text = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
  return text.toString('utf8').trim();
};

afterEach(() => endAllChildren('SIGKILL'));

describe.skipIf(findProgram('bwrap', env.PATH) === null)('a child that puts others into a sandbox', () => {
  const sandbox = ['--die-with-parent', '--new-session', '--unshare-all', '--ro-bind', '/', '/'];

  // For some moments of its start the kernel does not end its first process with bubblewrap: of 300 two or three are left.
  it('takes all of them with it, whenever it is ended', async () => {
    const mark = { name: 'EKA_CI_TEST_SANDBOX', value: String(process.pid) };
    const endSoon = async (ms: number): Promise<void> => {
      const child = await startChild({
        ...{ command: 'bwrap', args: [...sandbox, 'sleep', '20'], leavesGroup: true },
        env: { ...env, [mark.name]: mark.value },
      });
      await sleep(ms);
      child.end('SIGKILL');
      await child.exited;
    };
    for (let round = 0; round < 100; round++) {
      await Promise.all([1, 2, 3].map((step) => endSoon(step + (round % 10) / 2)));
    }
    await expect.poll(() => findMarked(mark), { timeout: 3000 }).toEqual([]);
  });
});

describe('runChild', () => {
  it('gives both streams and the status of a child that failed', async () => {
    const result = await runChild(sh('echo out; echo err >&2; exit 3'));
    expect(result).toEqual({
      code: 3,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
      truncated: false,
    });
  });

  it('gives the child the environment that was named and no other', async () => {
    const { stdout } = await runChild({ command: 'env', args: [], env: { ...env, ONLY: 'this' } });
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(new Set(names)).toEqual(new Set(['ONLY', 'PATH']));
  });

  it('gives no input where none was named, and all of it where one was', async () => {
    expect((await runChild(sh('cat'))).stdout).toBe('');
    const long = 'é'.repeat(200_000);
    expect((await runChild({ ...sh('cat'), stdin: long })).stdout).toBe(long);
  });

  it('bears a child that goes before it has read its input', async () => {
    const result = await runChild({ ...sh('exec 0<&-; exit 4'), stdin: new Uint8Array(4_000_000) });
    expect(result.code).toBe(4);
  });

  it('keeps the beginning of what is too long, and reads on so that the child can end', async () => {
    const script = 'i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done';
    const result = await runChild({ ...sh(script), maxOutputBytes: 15 });
    expect(result).toMatchObject({ code: 0, stdout: '0123456789\n0123', truncated: true });
  });

  it('is not truncated by output of exactly the limit', async () => {
    expect(await runChild({ ...sh('printf 12345'), maxOutputBytes: 5 })).toMatchObject({
      stdout: '12345',
      truncated: false,
    });
  });

  it('ends a child after its time, and tells so with what it printed', async () => {
    const result = await runChild({ ...sh('echo begun; sleep 1000'), timeoutMs: 300 });
    expect(result).toMatchObject({ code: null, signal: 'SIGTERM', stdout: 'begun\n', timedOut: true });
  });

  it('kills a child that does not heed SIGTERM', async () => {
    const script = "trap '' TERM; while :; do sleep 0.05; done";
    const result = await runChild({ ...sh(script), timeoutMs: 200, killGraceMs: 200 });
    expect(result).toMatchObject({ signal: 'SIGKILL', timedOut: true });
  });

  it('does not wait for a grandchild that outlives its parent with the streams in its hands', async () => {
    const result = await runChild(sh('sleep 1000 & echo $!'));
    expect(result.code).toBe(0);
    await expect.poll(() => isAlive(Number(result.stdout))).toBe(false);
  });

  it('does not wait past the grace for a grandchild that has left the group', async () => {
    const script = "setsid sh -c 'echo $$; exec sleep 1000' & exec sleep 1000";
    const result = await runChild({ ...sh(script), timeoutMs: 500, killGraceMs: 100 });
    expect(result).toMatchObject({ timedOut: true });
    process.kill(Number(result.stdout), 'SIGKILL'); // Out of the group, so out of what the module can promise.
  });
});

describe('startChild', () => {
  it.each([
    ['is missing', 'no-such-program-here', 'no such program on PATH'],
    ['is not executable', '/etc/passwd', 'EACCES'],
    ['has a name that no system takes', 'a\0b', 'ERR_INVALID_ARG_VALUE'],
  ])('says that a program %s', async (_, command, reason) => {
    const started = startChild({ command, args: [], env });
    await expect(started).rejects.toThrow(StartError);
    await expect(started).rejects.toMatchObject({ code: 'PROCESS_NOT_STARTED', command });
    await expect(started).rejects.toThrow(reason);
  });

  it('tells a missing directory from a missing program', async () => {
    const started = startChild({ ...sh('true'), cwd: join(tmpdir(), 'no-such-directory') });
    await expect(started).rejects.toThrow(/no-such-directory does not exist/);
  });

  it('says so when the arguments are longer than the system takes', async () => {
    const args = ['-c', 'true', 'x'.repeat(3_000_000)];
    await expect(startChild({ command: 'sh', args, env })).rejects.toThrow(StartError);
  });

  it('starts nothing for a signal that has aborted', async () => {
    const reason = new Error('not any more');
    const started = startChild({ ...sh('sleep 1000'), signal: AbortSignal.abort(reason) });
    await expect(started).rejects.toBe(reason);
  });

  it('ends the whole group with the signal, grandchildren and all', async () => {
    const abort = new AbortController();
    const script = 'sleep 1000 & sh -c "sleep 1000 & echo $! $$; wait" & wait';
    const child = await startChild({ ...sh(script), signal: abort.signal });
    const pids = (await nextLine(child.stdout)).split(' ').map(Number);
    abort.abort();
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM' });
    for (const pid of [...pids, child.pid]) await expect.poll(() => isAlive(pid)).toBe(false);
  });

  it('leaves a child that has gone alone, whoever has its id now', async () => {
    const child = await startChild(sh('exit 0'));
    child.stdout.resume();
    child.stderr.resume();
    await child.exited;
    const signals: unknown[] = [];
    const kill = process.kill.bind(process);
    process.kill = (pid, signal) => {
      signals.push([pid, signal]);
      return kill(pid, signal);
    };
    child.end();
    process.kill = kill;
    expect(signals).toEqual([]);
  });

  it('leaves standard input open where that was asked for', async () => {
    const child = await startChild({
      ...sh('read a; echo "$a"; read b; echo "$b"'),
      stdin: 'one\n',
      keepStdinOpen: true,
    });
    expect(await nextLine(child.stdout)).toBe('one');
    child.stdin?.end('two\n');
    expect(await nextLine(child.stdout)).toBe('two');
    expect(await child.exited).toMatchObject({ code: 0 });
  });

  it('ends every child that runs, also one that was started in the same moment', async () => {
    const first = await startChild(sh('sleep 1000'));
    const second = startChild(sh('sleep 1000'));
    await endAllChildren();
    expect(isAlive(first.pid)).toBe(false);
    expect(isAlive((await second).pid)).toBe(false);
  });
});

describe('readLines', () => {
  const split = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
    const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
    return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
  };

  it('gives the same lines wherever the chunks end, within a character too', async () => {
    const text = fc.string({ unit: fc.constantFrom('a', '\n', '\r', 'é', '€', '😀'), maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(), { maxLength: 8 }), async (written, cuts) => {
        const expected = written.endsWith('\n') ? written.slice(0, -1).split('\n') : written.split('\n');
        const lines = await linesOf(Readable.from(split(Buffer.from(written), cuts)));
        expect(lines).toEqual(written === '' ? [] : expected);
      }),
    );
  });

  it('gives each line at most once, cut to the limit, and finds the next one', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30, size: 'max' });
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat(), { maxLength: 8 }), async (written, cuts) => {
        const bytes = Buffer.from(written.map((one) => `${one}\n`).join(''));
        const lines = await linesOf(Readable.from(split(bytes, cuts)), 7);
        expect(lines).toEqual(written.map((one) => one.slice(0, 7)));
      }),
    );
  });

  it('keeps no more of a huge line than the limit', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    const huge = async function* (): AsyncGenerator<Buffer> {
      for (let sent = 0; sent < 512; sent++) yield chunk;
      yield Buffer.from('\nnext');
    };
    const before = process.memoryUsage().rss;
    const lines = await linesOf(Readable.from(huge()), 1000);
    expect(lines).toEqual(['x'.repeat(1000), 'next']);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });
});

describe('findProgram', () => {
  it('finds executable files only, in the order of the path', () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-process-'));
    try {
      writeFileSync(join(folder, 'sh'), '#!/bin/sh\n', { mode: 0o644 });
      expect(findProgram('sh', `${folder}:${env.PATH}`)).not.toBe(join(folder, 'sh'));
      rmSync(join(folder, 'sh'));
      writeFileSync(join(folder, 'sh'), '#!/bin/sh\n', { mode: 0o755 });
      expect(findProgram('sh', `:${folder}:${env.PATH}`)).toBe(join(folder, 'sh'));
      expect(findProgram('no-such-program-here', folder)).toBeNull();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
