import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findMarked, signalMarked } from '@eka-ci/process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HookValues } from '../../config/hook-command.ts';
import { Secret } from '../../config/secret.ts';
import { createSecretMask } from '../../lib/secret-mask.ts';
import { type HookInvocation, markName, runHook } from './run-hook.ts';

const containing = (text: string): unknown => expect.stringContaining(text);

/** For a machine that has much else to do. */
const patience = { timeout: 30_000 };

const values: HookValues = {
  texts: {
    DRV_PATH: '/nix/store/x.drv',
    EKA_JOB_NAME: 'packages; echo run by a shell',
    EKA_IS_FOD: 'false',
    EKA_SYSTEM: 'x86_64-linux',
    EKA_PNAME: 'x',
    EKA_BUILD_LOG_PATH: '',
    EKA_COMMIT_SHA: 'c0ffee',
  },
  outPaths: ['/nix/store/x', '/nix/store/x-dev'],
};
const canary = 'canary-of-the-hook';

let folder: string;
let marks = 0;
let mark: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-hook-test-'));
  mark = `test-${process.pid}.${++marks}`;
});
afterEach(async () => {
  await signalMarked({ name: markName, value: mark }, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const log = (): string => readFileSync(join(folder, 'hook.log'), 'utf8');

const run = (
  command: readonly string[],
  more: Partial<HookInvocation> = {},
  signal: AbortSignal = new AbortController().signal,
) =>
  runHook(
    {
      env: { PATH: process.env['PATH'] ?? '' },
      mask: createSecretMask([canary]),
      killGraceMs: 300,
    },
    {
      command,
      valuesIn: async () => values,
      credentials: new Map(),
      timeoutMs: 60_000,
      mark,
      logPath: join(folder, 'hook.log'),
      ...more,
    },
    signal,
  );

const sh = (script: string): readonly string[] => ['sh', '-c', script.replaceAll('$', '$$$$')];

const left = () => findMarked({ name: markName, value: mark });

describe('a hook', () => {
  it('gets what is known of its build, as arguments and in an environment that has nothing else', async () => {
    const given = await run(['printf', '<%s>\n', '$EKA_JOB_NAME', '$OUT_PATHS']);
    expect(given.end).toEqual({ kind: 'exited', status: 0 });
    expect(log()).toBe('<packages; echo run by a shell>\n</nix/store/x>\n</nix/store/x-dev>\n');
    await run(['env'], { credentials: new Map([['TOKEN', new Secret(canary)]]) });
    const names = log()
      .trim()
      .split('\n')
      .map((line) => line.slice(0, line.indexOf('=')));
    const told = Object.keys(values.texts);
    expect(new Set(names)).toEqual(new Set(['PATH', 'HOME', 'TOKEN', 'OUT_PATHS', markName, ...told]));
    expect(log()).toContain('TOKEN=[redacted]\n');
    expect(log()).toContain('OUT_PATHS=/nix/store/x /nix/store/x-dev\n');
  });

  it('works in a folder of its own that goes with it', async () => {
    const { end } = await run(sh('test "$PWD" = "$HOME" && test -z "$(ls -A)" && pwd && echo > kept'));
    expect(end).toEqual({ kind: 'exited', status: 0 });
    const parent = join(log().trim(), '../..');
    expect(readdirSync(parent)).not.toContain(log().trim().split('/').at(-2));
  });

  it('ends as its program ends', async () => {
    expect((await run(sh('echo no >&2; exit 7'))).end).toEqual({ kind: 'exited', status: 7 });
    expect(log()).toBe('no\n');
    expect((await run(sh('kill -9 $$'))).end).toEqual({ kind: 'signalled', signal: 'SIGKILL' });
    expect(log()).toContain('SIGKILL ended the hook');
  });

  it.each([
    ['there is none', ['/nowhere/notify'], 'no such program'],
    ['it is in no folder of PATH', ['no-such-program-of-a-hook'], 'no such program'],
    ['it may not be executed', [join(import.meta.dirname, 'run-hook.ts')], 'EACCES'],
  ])('says why its program cannot be started: %s', async (_, command, why) => {
    const { end } = await run(command);
    expect(end).toEqual({ kind: 'not-started', why: containing(why) });
    expect(log()).toContain('could not start the hook');
  });

  it('is killed with all it started when its time is up, whatever it ignores', async () => {
    const script =
      'trap "" TERM; (trap "" TERM; setsid sleep 300) & echo begun; while :; do sleep 0.05; done';
    const { end } = await run(sh(script), { timeoutMs: 400 });
    expect(end).toEqual({ kind: 'timed-out' });
    expect(log()).toMatch(/^begun\n\[EkaCI ended the hook: it took longer than 0\.4 s\]\n$/);
    expect(await left()).toEqual([]);
  });

  it('may clean up when its time is up', async () => {
    const { end } = await run(sh('trap "echo cleaned; exit 3" TERM; while :; do sleep 0.05; done'), {
      timeoutMs: 400,
    });
    expect(end).toEqual({ kind: 'timed-out' });
    expect(log()).toContain('cleaned\n');
  });

  it('leaves nothing behind that left its group and its session, and does not wait for it', async () => {
    const there = join(folder, 'there');
    const daemon = `setsid sh -c "setsid sleep 300 & echo > ${there}; sleep 300"`;
    const { end } = await run(sh(`${daemon} & while ! test -e ${there}; do sleep 0.02; done; echo done`));
    expect(end).toEqual({ kind: 'exited', status: 0 });
    expect(log()).toBe('done\n');
    expect(await left()).toEqual([]);
  });

  it('is not waited for by what hides and holds its output', async () => {
    const hide = `env -i setsid sh -c "sleep 20 & echo \\$! > ${join(folder, 'pid')}; wait"`;
    const { end } = await run(sh(`${hide} & while ! test -s ${join(folder, 'pid')}; do sleep 0.05; done`));
    expect(end).toEqual({ kind: 'exited', status: 0 });
    process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGKILL');
  });

  it('is ended when the server ends', async () => {
    const ending = new AbortController();
    const running = run(sh('echo begun; exec sleep 300'), {}, ending.signal);
    await expect.poll(() => left(), patience).not.toEqual([]);
    ending.abort();
    expect((await running).end).toEqual({ kind: 'cancelled' });
    expect(await left()).toEqual([]);
  });
});

describe('what a hook prints', () => {
  it('keeps head and tail of what has no end, and says what is missing', { timeout: 240_000 }, async () => {
    const secrets = (count: number): string => `yes ${canary} | head -n ${count}`;
    const script = `echo first; ${secrets(300_000)}; head -c 300000000 /dev/zero; ${secrets(100_000)}; echo last`;
    const { end, printedBytes } = await run(sh(script));
    expect(end).toEqual({ kind: 'exited', status: 0 });
    expect(printedBytes).toBeGreaterThan(307_000_000);
    const text = log();
    expect(text.length).toBeLessThan(6_000_000);
    expect(text.startsWith('first\n')).toBe(true);
    expect(text.endsWith('[redacted]\nlast\n')).toBe(true);
    expect(text).toMatch(/EkaCI left out \d{9} bytes/);
    expect(text).not.toContain(canary.slice(0, 2));
  });

  it('ends when it is to end, though it has no end, ignores what it is told and has forked away', async () => {
    const endless = `trap "" TERM; while :; do yes ${'x'.repeat(200)}; done`;
    const ending = new AbortController();
    const script = `${endless} & (setsid sh -c '${endless}' &); ${endless} >&2`;
    const running = run(sh(script), {}, ending.signal);
    const size = (): number => (existsSync(join(folder, 'hook.log')) ? log().length : 0);
    await expect.poll(size, patience).toBeGreaterThan(4_000_000);
    ending.abort();
    const { end, printedBytes } = await running;
    expect(end).toEqual({ kind: 'cancelled' });
    expect(await left()).toEqual([]);
    const text = log();
    expect(text.length).toBeLessThan(6_000_000);
    expect(text.length).toBeLessThan(printedBytes);
    expect(text).toMatch(/EkaCI left out \d+ bytes/);
    expect(text).toMatch(/\n\[EkaCI ended the hook: the server ends\]\n$/);
  });

  it('shows no part of a secret that a bound cuts', async () => {
    const filler = (bytes: number): string => `head -c ${bytes} /dev/zero | tr "\\0" x; printf ${canary};`;
    // At the end of what is kept of a line, at the end of what is read of it, and where the tail of one begins.
    const cuts = [49_152 - 9, 65_536 - 9].map((at) => `${filler(at)} head -c 9000 /dev/zero; echo`);
    await run(sh(cuts.join(';')));
    expect(log()).not.toContain(canary.slice(0, 9));
    const tail = `head -c 5000000 /dev/zero; i=0; while [ $i -lt 40000 ]; do printf ${canary}; i=$((i+1)); done`;
    await run(sh(tail));
    const text = log();
    for (let at = 0; at + 6 <= canary.length; at++) {
      const shown = text.split(canary.slice(at, at + 6)).length - 1;
      expect(shown).toBeLessThan(2);
    }
  });
});
