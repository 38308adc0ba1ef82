import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { answeringDaemon } from '@eka-ci/nix/daemon/testing/scripted-daemon';
import { childTransport } from '@eka-ci/nix/daemon/transport/child';
import { localStoreTransport } from '@eka-ci/nix/daemon/transport/local-store';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import { WireWriter } from '@eka-ci/nix/daemon/wire-writer';
import { baseNameOf } from '@eka-ci/nix/store-path';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { OpenDaemon } from '../nix-daemon/open-daemon.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { createRemoteBuilder, type RemoteBuilderOptions } from './remote-builder.ts';
import { askMachine, buildOn, farMachine, openLocal } from './testing/remote-builds.ts';
import {
  createSecondMachine,
  hungUpOnly,
  type SecondMachine,
  whyNoSecondMachine,
} from './testing/second-machine.ts';

const whyNot = await whyNoSecondMachine();
const because = whyNot === null ? '' : ` (skipped: ${whyNot})`;

describe.skipIf(whyNot !== null)(`a machine and the store of this server${because}`, () => {
  let store: PrivateStore;
  let daemon: OpenDaemon;
  let far: SecondMachine;
  const builders: RemoteBuilder[] = [];

  beforeAll(async () => {
    store = await createPrivateStore();
    daemon = await openLocal(store);
    far = await createSecondMachine(store, {
      config: 'extra-platforms = riscv32-linux\nsystem-features = big-parallel quantum-leap',
    });
  });
  afterEach(async () => {
    for (const builder of builders.splice(0)) await builder.close();
  });
  afterAll(async () => {
    await daemon.close();
    await store.remove();
  });

  const over = (transport: DaemonTransport, options: Partial<RemoteBuilderOptions> = {}): RemoteBuilder => {
    const builder = createRemoteBuilder({ machine: farMachine, transport, local: daemon.store, ...options });
    builders.push(builder);
    return builder;
  };
  const drvs = (expression: string): Promise<Record<string, DrvPath>> => store.instantiate(expression);
  const drv = async (script: string, extra = '{}'): Promise<DrvPath> =>
    (await drvs(`{ it = shell "it-${randomBytes(4).toString('hex')}" ''${script}'' ${extra}; }`))['it']!;
  const somewhere = (): string => join(store.folder, randomBytes(4).toString('hex'));
  const outputOf = async (drvPath: DrvPath): Promise<string> => {
    const args = ['--query', '--outputs', drvPath];
    const asked = await runChild({ command: store.nix.programs.store, args, env: store.nix.env });
    return asked.stdout.trim();
  };

  it('copies there what is not there, builds, and copies back what it made', async () => {
    const builder = over(far.transport);
    const made = await drvs(`rec {
      base = shell "base" "head -c 300000 /dev/urandom > $out" {};
      other = shell "other" "echo > $out" { inherit base; };
      top = shell "top" "cat \${base} \${other} > $out; echo \${base} >> $out" {};
    }`);
    const here = (name: string): Promise<string> => outputOf(made[name]!);
    for (const name of ['base', 'other']) {
      expect(await buildOn(daemon.builder, made[name]!)).toMatchObject({ kind: 'built' });
    }
    const top = await buildOn(builder, made['top']!);
    expect(top).toMatchObject({ kind: 'built' });
    expect(existsSync(join(far.storeDir, baseNameOf((await here('base')) as DrvPath)))).toBe(true);
    expect((await readFile(await here('top'), 'latin1')).length).toBeGreaterThan(300_000);
    const after = builder.copied();
    expect(after.to).toBeGreaterThan(300_000);
    expect(after.from).toBeGreaterThan(300_000);
    // Its inputs are there now: only the derivation itself is sent.
    const again = await drvs(`rec {
      base = shell "base" "head -c 300000 /dev/urandom > $out" {};
      more = shell "more" "cat \${base} > /dev/null; echo > $out" {};
    }`);
    expect(await buildOn(builder, again['more']!)).toMatchObject({ kind: 'built', lines: [] });
    expect(builder.copied().to - after.to).toBeLessThan(5000);
    expect(builder.copied().from - after.from).toBeLessThan(5000);
    // It is registered: the store here says that it is valid.
    expect(await daemon.queries().queryValid([(await here('top')) as StorePath])).toHaveLength(1);
  });

  it('builds for another system, and with a feature that this server has not', async () => {
    const builder = over(far.transport);
    const foreign = await drv(
      'echo > $out',
      '{ system = "riscv32-linux"; requiredSystemFeatures = [ "quantum-leap" ]; }',
    );
    expect(await buildOn(builder, foreign)).toMatchObject({ kind: 'built' });
    expect(await askMachine(builder)).toBeNull();
  });

  it('fetches what was built there by an attempt that did not come back', async () => {
    const drvPath = await drv('echo built; echo > $out');
    const other = createRemoteBuilder({ machine: farMachine, transport: far.transport, local: daemon.store });
    expect(await buildOn(other, drvPath)).toMatchObject({ kind: 'built' });
    await other.close();
    const path = await outputOf(drvPath);
    await runChild({ command: store.nix.programs.store, args: ['--delete', path], env: store.nix.env });
    expect(existsSync(path)).toBe(false);
    expect(await buildOn(over(far.transport), drvPath)).toMatchObject({ kind: 'substituted', lines: [] });
    expect(existsSync(path)).toBe(true);
  });

  it.each([
    ['without a word', 'SIGKILL'],
    ['because somebody ends it', 'SIGINT'],
  ] as const)('is lost in the middle of a build %s, and comes back', async (_, signal) => {
    const pids = somewhere();
    const leave = somewhere();
    const builder = over(far.transport);
    const lines: string[] = [];
    const script = `echo $PPID > ${pids}; echo said; while [ ! -e ${leave} ]; do sleep 0.05; done; echo > $out`;
    const ended = buildOn(builder, await drv(script), { lines });
    const read = (): Promise<string> => readFile(pids, 'utf8').catch(() => '');
    await expect.poll(read, { timeout: 20_000 }).toMatch(/\n$/);
    await expect.poll(() => lines, { timeout: 20_000 }).toEqual(['said']);
    process.kill(Number(await read()), signal);
    const result = await ended;
    writeFileSync(leave, '');
    expect(result).toMatchObject({
      kind: 'failed',
      cause: 'lost-builder',
      message: expect.stringMatching(
        /^far(?: was lost: it does not answer|: interrupted by the user)/,
      ) as string,
    });
    expect(await buildOn(builder, await drv('echo > $out'))).toMatchObject({ kind: 'built' });
    expect(await askMachine(builder)).toBeNull();
  });

  it('is not blamed where the daemon of this server goes away', async () => {
    let hasGone = false;
    const gone: DaemonTransport = {
      ...daemon.store.transport,
      async open(signal) {
        const stream = await daemon.store.transport.open(signal);
        stream.input.on('data', () => {
          if (hasGone) stream.close();
        });
        return stream;
      },
    };
    const builder = over(far.transport, { local: { ...daemon.store, transport: gone } });
    expect(await buildOn(builder, await drv('echo > $out'))).toMatchObject({ kind: 'built' });
    hasGone = true;
    const drvPath = await drv('echo > $out');
    expect(await buildOn(builder, drvPath)).toMatchObject({ kind: 'failed', cause: 'process-death' });
  });

  it('is not waited for where it takes connections and says nothing', async () => {
    const silent = over(
      answeringDaemon(() => {}),
      { answerTimeoutMs: 50 },
    );
    expect(await askMachine(silent)).toMatch(/^it does not answer: .*50 ms/);
    expect(await buildOn(silent, await drv('echo > $out'))).toMatchObject({ cause: 'lost-builder' });
    expect(silent.connections()).toBe(0);
  });

  it.each([
    // A greeting and settings are answered; then it is silent.
    ['before it has said what is there', 1],
    ['while it takes what it lacks', 2],
  ])('is lost where it falls silent %s', async (_, questions) => {
    const hushed: DaemonTransport = {
      ...far.transport,
      async open(signal) {
        const stream = await far.transport.open(signal);
        const input = new PassThrough();
        let answers = 0;
        stream.input.on('data', (bytes: Buffer) => {
          // Each answer ends with the word for that.
          answers += bytes.toString('latin1').split('stla').length - 1;
          if (answers <= questions + 1) input.write(bytes);
        });
        stream.input.once('close', () => input.destroy());
        return { ...stream, input };
      },
    };
    const builder = over(hushed, { copyIdleMs: 300 });
    const result = await buildOn(builder, await drv('echo > $out'));
    expect(result).toMatchObject({
      cause: 'lost-builder',
      message: expect.stringMatching(
        /not copied to far: it does not answer: .*300 ms without a byte/,
      ) as string,
    });
  });

  it('is lost where it takes a build and says nothing of it for longer than a build may be silent', async () => {
    const held = somewhere();
    const drvPath = await drv(`while [ ! -e ${held} ]; do sleep 0.05; done; echo > $out`);
    const first = buildOn(over(far.transport), drvPath);
    // Who builds the same there waits for the first without a word.
    const second = over(far.transport, { graceMs: 50 });
    const result = await buildOn(second, drvPath, { silenceTimeoutMs: 400 });
    writeFileSync(held, '');
    expect(await first).toMatchObject({ kind: 'built' });
    expect(['lost-builder', 'timeout']).toContain('cause' in result ? result.cause : result.kind);
  });

  it('may be slow', async () => {
    const slow: DaemonTransport = {
      ...far.transport,
      async open(signal) {
        const stream = await far.transport.open(signal);
        const input = new PassThrough();
        stream.input.on('data', (bytes: Buffer) => setTimeout(() => input.write(bytes), 15));
        stream.input.once('close', () => setTimeout(() => input.destroy(), 15));
        return { ...stream, input };
      },
    };
    expect(await buildOn(over(slow), await drv('echo a; echo > $out'))).toMatchObject({
      kind: 'built',
      lines: ['a'],
    });
  });

  it('may take its time to send what it built: that is no time of the build', async () => {
    const late: DaemonTransport = {
      ...far.transport,
      async open(signal) {
        const stream = await far.transport.open(signal);
        const input = new PassThrough();
        let sent: Promise<unknown> = Promise.resolve();
        stream.input.on('data', (bytes: Buffer) => {
          if (bytes.includes('nix-archive-1')) sent = sent.then(() => sleep(2500));
          sent = sent.then(() => input.write(bytes));
        });
        stream.input.once('close', () => input.destroy());
        return { ...stream, input };
      },
    };
    const builder = over(late, { graceMs: 50 });
    const bounds = { silenceTimeoutMs: 2000, maxDurationMs: 2000 };
    expect(await buildOn(builder, await drv('echo > $out'), bounds)).toMatchObject({ kind: 'built' });
  });

  it('is left while something is copied to it, when the build is cancelled', async () => {
    const abort = new AbortController();
    const reason = new Error('not wanted any more');
    const cut: DaemonTransport = {
      ...far.transport,
      async open(signal) {
        const stream = await far.transport.open(signal);
        stream.input.once('data', () => abort.abort(reason));
        return stream;
      },
    };
    const builder = over(cut);
    const drvPath = await drv('echo > $out');
    const request = { drvPath, outputs: [], silenceTimeoutMs: 1e5, maxDurationMs: 1e5, maxLogBytes: 1e6 };
    const result = await builder.build(request, { log() {}, phase() {} }, abort.signal);
    expect(result).toMatchObject({ kind: 'interrupted', cause: 'cancelled' });
    await expect.poll(() => builder.connections(), { timeout: 10_000 }).toBe(0);
  });

  it('says that the disk there is full, of what is copied and of what is built', async () => {
    const small = far.command([]);
    const at = small.args.indexOf('--');
    // Over the store of the machine, and as small as that.
    const args = [...small.args.slice(0, at), '--size', '2000000', '--tmpfs', store.nix.storeDir, '--'];
    const words = [far.daemonProgram, '--stdio', '--option', 'store', 'local'];
    const env = { ...small.env, NIX_STATE_DIR: somewhere() };
    const full = over(
      childTransport('a full machine', hungUpOnly({ ...small, args: [...args, ...words], env })),
    );
    const built = await buildOn(full, await drv('head -c 5000000 /dev/zero > $out'));
    expect(built).toMatchObject({ kind: 'failed', cause: 'disk-full' });
    const made = await drvs(`rec {
      large = shell "large" "head -c 5000000 /dev/urandom > $out" {};
      user = shell "user" "cat \${large} > $out" {};
    }`);
    await buildOn(daemon.builder, made['large']!);
    expect(await buildOn(full, made['user']!)).toMatchObject({
      kind: 'failed',
      cause: 'disk-full',
      message: expect.stringMatching(/inputs were not copied to far: the disk there is full/) as string,
    });
  });

  it('says that its store is another one', async () => {
    const other = await createPrivateStore();
    try {
      const builder = over(localStoreTransport(other.nix));
      expect(await askMachine(builder)).toMatch(/^its store is not .*nothing can be copied/);
      expect(await buildOn(builder, await drv('echo > $out'))).toMatchObject({
        kind: 'failed',
        cause: 'lost-builder',
        message: expect.stringMatching(/its store is not/) as string,
      });
    } finally {
      await other.remove();
    }
  });

  it('says that it speaks another protocol', async () => {
    const greets = (version: number): DaemonTransport =>
      answeringDaemon((heard, say) => {
        if (heard.length === 16) say(new WireWriter().number(0x6478696f).number(version).bytes());
      });
    const newer = over(greets(0x200));
    expect(await askMachine(newer)).toMatch(
      /^it is not spoken with: .*version 2\.0, of which nothing is known/,
    );
    expect(await buildOn(newer, await drv('echo > $out'))).toMatchObject({ cause: 'lost-builder' });
    expect(await askMachine(over(greets(0x120)))).toMatch(/at least 1\.34/);
  });

  it('is not built on where what it makes has no name before', async () => {
    const floating = await drv(
      'echo > $out',
      '{ __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }',
    ).catch(() => null);
    // Only where Nix has that feature on.
    if (floating !== null) {
      expect(await buildOn(over(far.transport), floating)).toMatchObject({ kind: 'unsatisfiable' });
    }
  });
});
