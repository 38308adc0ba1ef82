import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { DrvPath } from '@eka-ci/core/ids';
import type { DaemonStream, DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import {
  createPrivateStore,
  type PrivateStore,
  type PrivateStoreOptions,
} from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuilderSubject, describeBuilder } from '../builder.contract.ts';
import type { BuildRequest } from '../builder.ts';
import { findOffer } from '../nix-offer.ts';
import { findStandingSettings } from './daemon-settings.ts';
import { createNixDaemonBuilder, type NixDaemonBuilder } from './nix-daemon-builder.ts';
import { openNixDaemon } from './open-daemon.ts';
import { type ReachedDaemon, searchDaemon } from './reach-daemon.ts';

const openOn = async (store: PrivateStore) => {
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind === 'open') return daemon;
  await store.remove();
  throw new Error(daemon.why);
};

const subjectOn = async (options: PrivateStoreOptions = {}): Promise<BuilderSubject> => {
  const store = await createPrivateStore(options);
  const daemon = await openOn(store);
  const remove = async (): Promise<void> => {
    await daemon.close();
    await store.remove();
  };
  return { store: { ...store, remove }, builder: daemon.builder };
};

describeBuilder('nix-daemon of our own', () => subjectOn());

describeBuilder('nix-daemon at its socket', () => subjectOn({ daemon: true }));

describeBuilder('nix-daemon that does not trust us', () =>
  subjectOn({ daemon: true, config: 'trusted-users = nobody' }),
);

const reach = async ({ nix }: PrivateStore): Promise<ReachedDaemon> => {
  const daemon = await searchDaemon(nix, nix.env['NIX_REMOTE'] ?? '');
  if (daemon.kind !== 'reached') throw new Error(daemon.why);
  return daemon;
};

/** The process with this id, or what it has become: a zombie counts as gone. */
const isRunning = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

describe.each([
  ['of our own', {}, 'process-death'],
  ['at its socket', { daemon: true }, 'lost-builder'],
] as const)('a daemon %s', (_, options, lostCause) => {
  let store: PrivateStore;
  let daemon: ReachedDaemon;
  let builder: NixDaemonBuilder;
  const streams: DaemonStream[] = [];
  /** The next time that something is said to the daemon, it is gone. */
  let diesWhenSpokenTo = false;

  const watched = (transport: DaemonTransport): DaemonTransport => ({
    ...transport,
    async open(signal) {
      const stream = await transport.open(signal);
      streams.push(stream);
      const output = new Writable({
        write(bytes: Buffer, _encoding, done) {
          if (diesWhenSpokenTo) stream.close();
          else stream.output.write(bytes);
          diesWhenSpokenTo = false;
          done();
        },
      });
      return { ...stream, output };
    },
  });

  beforeAll(async () => {
    store = await createPrivateStore(options);
    const reached = await reach(store);
    daemon = { ...reached, transport: watched(reached.transport) };
    const offer = await findOffer(store.nix);
    const standing = await findStandingSettings(store.nix, daemon, offer.settings);
    builder = createNixDaemonBuilder({ nix: store.nix, daemon, offer, standing });
  });
  afterAll(async () => {
    await builder.close();
    await store.remove();
  });

  const drv = async (script: string, extra = '{}'): Promise<DrvPath> => {
    const name = `it-${randomBytes(4).toString('hex')}`;
    return (await store.instantiate(`{ it = shell "${name}" ''${script}'' ${extra}; }`))['it']!;
  };
  const build = async (drvPath: DrvPath, bounds: Partial<BuildRequest> = {}, lines: string[] = []) => {
    const result = await builder.build(
      {
        drvPath,
        outputs: [],
        silenceTimeoutMs: 60_000,
        maxDurationMs: 60_000,
        maxLogBytes: 1_000_000,
        ...bounds,
      },
      { log: (line) => void lines.push(String(line)), phase() {} },
      new AbortController().signal,
    );
    return { ...result, lines };
  };
  const nixStore = (...args: string[]) =>
    runChild({ command: store.nix.programs.store, args, env: store.nix.env });
  const somewhere = (): string => join(store.folder, randomBytes(4).toString('hex'));
  const untilWritten = async (file: string): Promise<number[]> => {
    const read = () => readFile(file, 'utf8').catch(() => '');
    await expect.poll(read, { timeout: 20_000 }).toMatch(/\n$/);
    return (await read()).trim().split(' ').map(Number);
  };

  it('does many builds over one connection, and sees what others did meanwhile', async () => {
    await build(await drv('echo > $out'));
    const before = streams.length;
    const flag = somewhere();
    const drvPath = await drv(`[ -e ${flag} ] && echo > $out`);
    expect(await build(drvPath)).toMatchObject({ kind: 'failed' });
    writeFileSync(flag, '');
    expect(await nixStore('--realise', drvPath)).toMatchObject({ code: 0 });
    expect(await build(drvPath)).toMatchObject({ kind: 'already-valid' });
    // Other bounds are told to the same daemon.
    expect(await build(await drv('sleep 30'), { silenceTimeoutMs: 1000 })).toMatchObject({
      cause: 'timeout',
    });
    expect(await build(await drv('sleep 1; echo > $out'))).toMatchObject({ kind: 'built' });
    expect(streams.length).toBe(before);
  });

  it('is asked again where its connection died while nobody used it', async () => {
    await build(await drv('echo > $out'));
    const before = streams.length;
    diesWhenSpokenTo = true;
    expect(await build(await drv('echo > $out'))).toMatchObject({ kind: 'built' });
    expect(streams.length).toBe(before + 1);
  });

  it('is lost in the middle of a build: not the fault of the package', async () => {
    const [pids, leave] = [somewhere(), somewhere()];
    const script = `echo said; echo $PPID $$ > ${pids}; while [ ! -e ${leave} ]; do sleep 0.1; done; echo > $out`;
    const lines: string[] = [];
    const ended = build(await drv(script), {}, lines);
    const [ppid] = await untilWritten(pids);
    // What the daemon has not passed on by then goes with it.
    await expect.poll(() => lines, { timeout: 20_000 }).toEqual(['said']);
    process.kill(ppid!, 'SIGKILL');
    const result = await ended;
    // Nobody ends the builder of a daemon that was killed.
    writeFileSync(leave, '');
    expect(result).toMatchObject({ kind: 'failed', cause: lostCause });
    expect(result.lines[0]).toBe('said');
    expect(result.lines.at(-1)).toMatch(/closed the connection/);
    expect(await build(await drv('echo > $out'))).toMatchObject({ kind: 'built' });
  });

  it('is given as many cores as the user has set', async () => {
    const nix = { ...store.nix, env: { ...store.nix.env, NIX_CONFIG: 'cores = 3\nconnect-timeout = 7' } };
    const { settings } = await findOffer(nix);
    const standing = await findStandingSettings(nix, daemon, settings);
    expect(standing).toMatchObject({ cores: 3, substitute: true, fallback: false, keepFailed: false });
    // A child of ours reads them itself.
    expect(standing.overrides?.['connect-timeout']).toBe(daemon.isOwn ? undefined : '7');
    const other = createNixDaemonBuilder({ nix, daemon, offer: builder, standing });
    const lines: string[] = [];
    await other.build(
      {
        drvPath: await drv('echo $NIX_BUILD_CORES; echo > $out'),
        outputs: [],
        silenceTimeoutMs: 60_000,
        maxDurationMs: 60_000,
        maxLogBytes: 1_000_000,
      },
      { log: (line) => void lines.push(String(line)), phase() {} },
      new AbortController().signal,
    );
    await other.close();
    expect(lines).toEqual(['3']);
  });

  it('ends the builder of a server that was killed', async () => {
    const pids = somewhere();
    const drvPath = await drv(`sleep 300 & echo $$ $! > ${pids}; sleep 300`);
    const program = `
      const { findNix } = await import(${JSON.stringify(import.meta.resolve('@eka-ci/nix/installation'))});
      const { openNixDaemon } = await import(${JSON.stringify(new URL('open-daemon.ts', import.meta.url).href)});
      const daemon = await openNixDaemon(await findNix(process.env));
      await daemon.builder.build(
        { drvPath: ${JSON.stringify(drvPath)}, outputs: [], silenceTimeoutMs: 3e5, maxDurationMs: 3e5, maxLogBytes: 1e6 },
        { log() {}, phase() {} }, new AbortController().signal);`;
    const server = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...store.nix.env },
      stdio: 'inherit',
    });
    const builders = await untilWritten(pids);
    expect(builders.filter(isRunning)).toEqual(builders);
    server.kill('SIGKILL');
    await expect.poll(() => builders.filter(isRunning), { timeout: 20_000 }).toEqual([]);
    // Nothing of it keeps the next one from building the same.
    expect(await build(drvPath, { silenceTimeoutMs: 1000 })).toMatchObject({ cause: 'timeout' });
  });
});
