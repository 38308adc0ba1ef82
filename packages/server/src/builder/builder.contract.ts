// What every builder must do, on a real store. A driver's test calls describeBuilder() with a way to make it.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, readFile, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Builder, BuildRequest } from './builder.ts';

export interface BuilderSubject {
  readonly store: PrivateStore;
  readonly builder: Builder;
  /** False where nobody can know when a builder that was cancelled is gone. @default true */
  readonly outlivesBuilders?: boolean;
}

interface Attempt {
  readonly result: BuildResult;
  readonly lines: string[];
  readonly phases: string[];
  readonly starts: number;
}

const bounds = { outputs: [], silenceTimeoutMs: 60_000, maxDurationMs: 120_000, maxLogBytes: 10_000_000 };

/** True while the process with this id runs: one that nobody has waited for yet runs no more. */
const isRunning = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

export const describeBuilder = (name: string, makeSubject: () => Promise<BuilderSubject>): void => {
  describe(`builder ${name}`, () => {
    let subject: BuilderSubject;
    beforeAll(async () => {
      subject = await makeSubject();
    });
    afterAll(() => subject.store.remove());

    /** A name of its own for each derivation, so that none finds another's output. */
    const drv = async (script: string, extra = '{}', more = ''): Promise<DrvPath> => {
      const made = await subject.store.instantiate(
        `let ${more} in { it = shell "it-${randomBytes(4).toString('hex')}" ''${script}'' ${extra}; }`,
      );
      return made['it']!;
    };

    const build = async (
      drvPath: DrvPath,
      request: Partial<BuildRequest> = {},
      signal = new AbortController().signal,
    ): Promise<Attempt> => {
      const [lines, phases] = [[] as string[], [] as string[]];
      let starts = 0;
      const observer = {
        started: () => {
          starts++;
        },
        log: (line: Uint8Array | string) => {
          lines.push(typeof line === 'string' ? line : Buffer.from(line).toString());
        },
        phase: (phase: string) => {
          phases.push(phase);
        },
      };
      const result = await subject.builder.build({ ...bounds, drvPath, ...request }, observer, signal);
      return { result, lines, phases, starts };
    };

    it('builds, and tells what it builds; then finds it valid', async () => {
      const drvPath = await drv(
        `echo hello; echo '@nix {"action":"setPhase","phase":"checkPhase"}' >&2; printf 'no line feed'; echo x > $out`,
      );
      const first = await build(drvPath);
      expect(first.result).toEqual({ kind: 'built', durationMs: expect.any(Number) as number });
      expect(first).toMatchObject({ lines: ['hello', 'no line feed'], phases: ['checkPhase'], starts: 1 });
      const again = await build(drvPath, { outputs: ['out'] });
      expect(again).toMatchObject({ result: { kind: 'already-valid' }, lines: [], starts: 0 });
    });

    it('makes several outputs', async () => {
      const drvPath = await drv('echo > $out; echo > $dev', '{ outputs = [ "out" "dev" ]; }');
      expect((await build(drvPath, { outputs: ['out', 'dev'] })).result.kind).toBe('built');
    });

    it.each([
      ['exits non-zero', 'echo going; exit 3', '{}', 'builder-exit', /exit code 3/],
      ['is ended by a signal', 'kill -11 $$', '{}', 'builder-exit', /signal 11/],
      ['is killed, as the kernel does out of memory', 'kill -9 $$', '{}', 'out-of-memory', /signal 9/],
      [
        'leaves out an output',
        'echo > $out',
        '{ outputs = [ "out" "dev" ]; }',
        'missing-output',
        /output .*dev/,
      ],
      [
        'has another hash than promised',
        'echo x > $out',
        '{ outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }',
        'hash-mismatch',
        /got: +sha256-c8s4WK/,
      ],
      [
        'fetches in vain',
        'echo "curl: (6) Could not resolve host: example.invalid"; exit 1',
        '{ outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }',
        'network',
        /exit code 1/,
      ],
      [
        'refers to what it may not',
        'echo $out > $out',
        '{ allowedReferences = []; }',
        'output-rejected',
        /not allowed/,
      ],
      [
        'only says that it has a network problem and a full disk',
        'echo "curl: (6) Could not resolve host"; echo "note: build failure may have been caused by lack of free disk space"; exit 1',
        '{}',
        'builder-exit',
        /exit code 1/,
      ],
      [
        'forges messages of Nix',
        `echo '@nix {"action":"msg","level":0,"msg":"error: unable to download it","raw_msg":"unable to download it"}' >&2; exit 1`,
        '{}',
        'builder-exit',
        /exit code 1/,
      ],
    ])('fails a build that %s', async (_, script, extra, cause, message) => {
      const drvPath = await drv(script, extra);
      const { result, lines, starts } = await build(drvPath);
      expect(result).toMatchObject({ kind: 'failed', cause, failedDrv: drvPath });
      expect(result).toMatchObject({ message: expect.stringMatching(message) as string });
      // The log ends with it too, said once.
      expect(lines.slice(-6).join('\n')).toMatch(message);
      expect(lines.join('\n').match(new RegExp(message, 'g'))).toHaveLength(1);
      expect(starts).toBe(1);
      expect(JSON.stringify(result)).not.toContain('\\u001b');
    });

    it('names the input that failed', async () => {
      const more = 'broken = shell "broken" "echo no; exit 1" {}; good = shell "good" "echo > $out" {};';
      const drvPath = await drv('echo > $out', '{ inherit broken good; }', more);
      const { result, starts } = await build(drvPath);
      expect(result).toMatchObject({ kind: 'failed', cause: 'builder-exit' });
      expect(result).toMatchObject({ failedDrv: expect.stringMatching(/-broken\.drv$/) as string });
      expect(starts).toBe(0);
    });

    it('builds what an input lacks as well', async () => {
      const more =
        'lacking = shell "lacking-${name}" "echo input; echo > $out" {}; name = builtins.toString builtins.currentTime;';
      const drvPath = await drv('echo output; echo > $out', '{ inherit lacking; }', more);
      const { result, lines, starts } = await build(drvPath);
      expect(result.kind).toBe('built');
      expect(lines).toEqual(['input', 'output']);
      expect(starts).toBe(1);
    });

    it.each([
      ['system', '{ system = "riscv64-linux"; }', /riscv64-linux/],
      ['feature', '{ requiredSystemFeatures = [ "quantum" ]; }', /quantum/],
    ])('says that it does not have the %s that a derivation asks for', async (_, extra, message) => {
      const { result, starts } = await build(await drv('echo > $out', extra));
      expect(result).toMatchObject({
        kind: 'unsatisfiable',
        message: expect.stringMatching(message) as string,
      });
      expect(starts).toBe(0);
    });

    it('fails a derivation that is not there, and one that was cut short', async () => {
      const gone = await drv('echo > $out');
      await unlink(gone);
      expect((await build(gone)).result).toMatchObject({
        kind: 'failed',
        cause: 'invalid-derivation',
        failedDrv: gone,
      });
      const cut = await drv('echo > $out');
      await chmod(cut, 0o600);
      await truncate(cut, 100);
      expect((await build(cut)).result).toMatchObject({
        kind: 'failed',
        cause: 'invalid-derivation',
        failedDrv: cut,
      });
    });

    it('ends a silent build', async () => {
      const { result, lines } = await build(await drv('echo one; sleep 60'), { silenceTimeoutMs: 1000 });
      expect(result).toMatchObject({ kind: 'interrupted', cause: 'timeout' });
      expect(lines).toContain('one');
    });

    it('ends a build that takes too long, though it talks', async () => {
      const script = 'while true; do echo tick; sleep 0.1; done';
      const { result } = await build(await drv(script), { maxDurationMs: 2000 });
      expect(result).toMatchObject({ kind: 'interrupted', cause: 'max-duration' });
    });

    it('ends a build that prints without end', async () => {
      const { result, lines } = await build(await drv('yes "a line of a log"'), { maxLogBytes: 100_000 });
      expect(result).toMatchObject({ kind: 'interrupted', cause: 'log-limit' });
      expect(lines.join('\n').length).toBeLessThan(500_000);
    });

    it('passes on whatever a builder prints, and believes none of it', async () => {
      const { result, lines, starts } = await build(
        await drv(`
          printf '\\033[31mred\\033[0m\\n'; printf 'nul\\000byte\\n'; printf '\\377\\376bad\\n'
          echo '@nix {"action":"stop","id":1}' >&2
          echo '@nix {"action":"start","id":5,"level":0,"type":105,"text":"x","fields":["$out.drv","",1,1]}' >&2
          echo '@nix not json'
          head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; echo end > $out; echo end`),
      );
      expect(result.kind).toBe('built');
      expect(starts).toBe(1);
      expect(lines).toContain('\u001b[31mred\u001b[0m');
      expect(lines).toContain('nul\u0000byte');
      expect(lines).toContain('\ufffd\ufffdbad');
      expect(lines).toContain('@nix not json');
      expect(lines.some((line) => line.length === 1_000_000)).toBe(true);
      expect(lines.at(-1)).toBe('end');
    });

    it.each([
      ['is cancelled', {}, 'cancelled'],
      ['is silent for too long', { silenceTimeoutMs: 1500 }, 'timeout'],
    ] as const)(
      'ends the builder and all it started, deaf to signals, when it %s',
      async (_, limits, cause) => {
        const pidFile = join(subject.store.folder, randomBytes(4).toString('hex'));
        // What ignores a signal hands that down to whatever it starts.
        const drvPath = await drv(
          `trap "" TERM INT HUP; sleep 300 & echo $$ $! > ${pidFile}; echo started; sleep 300`,
        );
        const abort = new AbortController();
        const ended = build(drvPath, limits, abort.signal);
        await expect
          .poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 20_000 })
          .toMatch(/\n$/);
        if (cause === 'cancelled') abort.abort();
        expect((await ended).result).toMatchObject({ kind: 'interrupted', cause });
        const pids = (await readFile(pidFile, 'utf8')).trim().split(' ').map(Number);
        expect(pids).toHaveLength(2);
        // What it started gets its signal in the same moment, and is waited for by nobody.
        if (subject.outlivesBuilders !== false) expect(pids.slice(0, 1).filter(isRunning)).toEqual([]);
        await expect.poll(() => pids.filter(isRunning), { timeout: 10_000 }).toEqual([]);
        // Nothing is left that would keep another attempt from it.
        await writeFile(pidFile, '');
        expect((await build(await drv('echo > $out'))).result.kind).toBe('built');
      },
    );

    it('does not start what was cancelled before', async () => {
      const { result, starts } = await build(await drv('echo > $out'), {}, AbortSignal.abort());
      expect(result).toMatchObject({ kind: 'interrupted', cause: 'cancelled' });
      expect(starts).toBe(0);
    });

    it('builds several at once', async () => {
      const drvs = await Promise.all([1, 2, 3].map(() => drv('sleep 0.2; echo > $out')));
      const results = await Promise.all(drvs.map((drvPath) => build(drvPath)));
      expect(results.map(({ result }) => result.kind)).toEqual(['built', 'built', 'built']);
    });

    it('offers the system of this machine and the builders of Nix itself', () => {
      expect(subject.builder.systems).toContain('builtin');
      expect(subject.builder.systems.length).toBeGreaterThan(1);
      expect(subject.builder.features).toContain('big-parallel');
    });
  });
};
