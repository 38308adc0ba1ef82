// What must hold however a real daemon is reached. A test calls describeDaemon() with a way to a store and its daemon.
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createProcessRooting } from '../gc-roots.ts';
import { baseNameOf } from '../store-path.ts';
import { createStoreQueries } from '../store-queries.ts';
import type { PrivateStore } from '../testing/private-store.ts';
import { buildPathsWithResults, type DaemonSettings, setOptions } from './build-operations.ts';
import type { DaemonBuildResult } from './build-results.ts';
import { classifyDaemonFailure } from './classify-build-result.ts';
import { copyClosure, queryClosure } from './closure.ts';
import { connectDaemon, type DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import type { DaemonEvent } from './daemon-log.ts';
import { createDaemonPool } from './daemon-pool.ts';
import { createDaemonRooting } from './daemon-rooting.ts';
import { createDaemonStoreQueries } from './daemon-store-queries.ts';
import {
  findRoots,
  isValidPath,
  queryDerivationOutputMap,
  queryMissing,
  queryPathInfo,
  queryReferrers,
  queryValidPaths,
} from './query-operations.ts';
import { addIndirectRoot, addTempRoot } from './root-operations.ts';
import { addToStoreNar, narFromPath } from './transfer-operations.ts';
import { localStoreTransport } from './transport/local-store.ts';
import type { DaemonTransport } from './transport/transport.ts';
import { findTrust } from './trust.ts';

export interface DaemonSubject {
  readonly store: PrivateStore;
  readonly transport: DaemonTransport;
}

interface Attempt {
  readonly result: DaemonBuildResult;
  readonly events: readonly DaemonEvent[];
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const promised =
  '{ outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }';

export const describeDaemon = (name: string, makeSubject: () => Promise<DaemonSubject>): void => {
  describe(`daemon ${name}`, () => {
    let store: PrivateStore;
    let transport: DaemonTransport;
    const connections: DaemonConnection[] = [];

    beforeAll(async () => {
      ({ store, transport } = await makeSubject());
    });
    afterEach(async () => {
      await Promise.all(connections.splice(0).map((connection) => connection.close()));
    });
    afterAll(() => store.remove());

    const connect = async (over = transport): Promise<DaemonConnection> => {
      const connection = await connectDaemon(over, { storeDir: store.nix.storeDir });
      connections.push(connection);
      return connection;
    };
    const poolOver = (over: DaemonTransport, size?: number) =>
      createDaemonPool({
        connect: (signal) =>
          connectDaemon(over, { storeDir: store.nix.storeDir, ...(signal === undefined ? {} : { signal }) }),
        ...(size === undefined ? {} : { size }),
      });

    /** A name of its own for each derivation, so that none finds another's output. */
    const drv = async (script: string, extra = '{}', more = ''): Promise<DrvPath> => {
      const made = await store.instantiate(
        `let ${more} in { it = shell "it-${randomBytes(4).toString('hex')}" ''${script}'' ${extra}; }`,
      );
      return made['it']!;
    };
    const build = async (
      drvPath: DrvPath,
      settings: DaemonSettings = {},
      react: (event: DaemonEvent) => void = () => {},
    ): Promise<Attempt> => {
      const connection = await connect();
      await setOptions(connection, settings);
      const events: DaemonEvent[] = [];
      const onEvent = (event: DaemonEvent): void => {
        events.push(event);
        react(event);
      };
      const [result] = await buildPathsWithResults(connection, [{ drvPath, outputs: [] }], { onEvent });
      return { result: result!, events };
    };
    const buildOut = async (drvPath: DrvPath): Promise<StorePath> => {
      const connection = await connect();
      const [result] = await buildPathsWithResults(connection, [{ drvPath, outputs: ['out'] }]);
      if (result?.kind !== 'success') throw new Error(JSON.stringify(result));
      const path = (await queryDerivationOutputMap(connection, drvPath)).get('out');
      // What this connection has built stays until it ends.
      await connection.close();
      return path!;
    };
    const nothing = (base: string): StorePath =>
      `${store.nix.storeDir}/${'0'.repeat(32)}-${base}` as StorePath;
    const collectGarbage = () =>
      runChild({ command: store.nix.programs.store, args: ['--gc'], env: store.nix.env });
    const flag = (): string => join(store.folder, randomBytes(4).toString('hex'));

    it('greets, and says what it is and what this user may', async () => {
      const connection = await connect();
      expect(connection.daemon.nixVersion).toBe(store.nix.version);
      expect(connection.daemon.minor).toBeGreaterThanOrEqual(34);
      expect(await findTrust(connection)).toBe('trusted');
    });

    it('says what is valid, what is known of it, and what is missing', async () => {
      const made = await store.instantiate(`rec {
        base = shell "base" "head -c 1000 /dev/zero > $out" {};
        top = shell "top" "echo \${base} $out > $out" {};
        unbuilt = shell "unbuilt" "echo \${top} > $out" {};
      }`);
      const { base: baseDrv, top: topDrv, unbuilt } = made as Record<'base' | 'top' | 'unbuilt', DrvPath>;
      const [base, top] = [await buildOut(baseDrv), await buildOut(topDrv)];
      const connection = await connect();
      expect(await isValidPath(connection, top)).toBe(true);
      expect(await isValidPath(connection, nothing('a'))).toBe(false);
      expect(
        await queryValidPaths(connection, { paths: [base, nothing('a'), topDrv] as StorePath[] }),
      ).toEqual(new Set([base, topDrv]));
      expect(await queryPathInfo(connection, nothing('a'))).toBeNull();
      const info = await queryPathInfo(connection, top);
      expect(info).toMatchObject({ path: top, deriver: topDrv, ultimate: true, contentAddress: null });
      expect(new Set(info?.references)).toEqual(new Set([base, top]));
      expect((await queryPathInfo(connection, base))?.narSize).toBe(1112);
      expect(await queryReferrers(connection, base)).toEqual(new Set([top]));
      expect(await queryDerivationOutputMap(connection, unbuilt)).toEqual(
        new Map([['out', expect.stringMatching(/-unbuilt$/) as string]]),
      );
      const missing = await queryMissing(connection, [
        { drvPath: unbuilt, outputs: ['out'] },
        { drvPath: topDrv, outputs: [] },
        { path: nothing('b') },
      ]);
      expect(missing).toMatchObject({ willBuild: [unbuilt], willSubstitute: [], unknown: [nothing('b')] });
    });

    it('answers the questions of the store as nix-store does', async () => {
      const made = await store.instantiate(
        `let chain = n: if n == 0 then [] else let rest = chain (n - 1); in rest ++
           [ (shell "link-\${toString n}" "echo \${toString rest} > $out" {}) ];
         in { top = shell "chain" "echo \${toString (chain 12)} > $out" {}; bare = shell "bare" "exit 1" {}; }`,
      );
      const top = await buildOut(made['top']!);
      const pool = poolOver(transport, 3);
      try {
        const [ours, theirs] = [createDaemonStoreQueries(pool), createStoreQueries(store.nix)];
        const paths = [top, nothing('a'), made['bare']! as string as StorePath];
        expect(await ours.queryValid(paths)).toEqual(await theirs.queryValid(paths));
        const [closure, expected] = [await ours.queryClosure(paths), await theirs.queryClosure(paths)];
        expect(closure.size).toBe(14);
        expect(new Set(closure.keys())).toEqual(new Set(expected.keys()));
        for (const [path, info] of expected) {
          expect(closure.get(path)?.narSize).toBe(info.narSize);
          expect(new Set(closure.get(path)?.references)).toEqual(new Set(info.references));
        }
        const drvs = [made['bare']!, nothing('gone.drv') as string as DrvPath];
        expect(await ours.queryMissing(drvs)).toEqual(await theirs.queryMissing(drvs));
      } finally {
        await pool.close();
      }
    });

    it('builds, names the outputs, and finds them valid the next time', async () => {
      const drvPath = await drv('echo > $out; echo > $dev', '{ outputs = [ "out" "dev" ]; }');
      const first = await build(drvPath);
      expect(first.result).toMatchObject({ kind: 'success', status: 'built', target: `${drvPath}!*` });
      if (first.result.kind !== 'success') throw new Error('unreachable');
      expect(first.result.builtOutputs.get('dev')).toMatch(/-dev$/);
      const again = await build(drvPath);
      expect(again.result).toMatchObject({ kind: 'success', status: 'already-valid' });
      expect(again.events.filter(({ kind }) => kind === 'build-started')).toEqual([]);
    });

    it('tells lines and phases while the builder runs', async () => {
      const told = flag();
      const drvPath = await drv(`
        echo '@nix {"action":"setPhase","phase":"checkPhase"}' >&2; echo waiting
        while [ ! -e ${told} ]; do sleep 0.05; done; printf 'no line feed'; echo > $out`);
      // The builder ends only when its line was heard.
      const { result, events } = await build(drvPath, { timeoutSeconds: 30 }, (event) => {
        if (event.kind === 'log-line' && event.text === 'waiting') writeFileSync(told, '');
      });
      expect(result).toMatchObject({ status: 'built' });
      const mine = events.filter((event) => 'drvPath' in event && event.drvPath === drvPath);
      expect(mine).toEqual([
        { kind: 'build-started', drvPath, machine: '' },
        { kind: 'phase', drvPath, phase: 'checkPhase' },
        { kind: 'log-line', drvPath, text: 'waiting' },
        { kind: 'log-line', drvPath, text: 'no line feed' },
        { kind: 'build-stopped', drvPath },
      ]);
    });

    it.each([
      ['exits non-zero', 'echo going; exit 3', '{}', 'permanent-failure', 'builder-exit'],
      ['is killed', 'kill -9 $$', '{}', 'permanent-failure', 'out-of-memory'],
      [
        'leaves out an output',
        'echo > $out',
        '{ outputs = [ "out" "dev" ]; }',
        'output-rejected',
        'missing-output',
      ],
      ['has another hash than promised', 'echo x > $out', promised, 'output-rejected', 'hash-mismatch'],
      [
        'fetches in vain',
        'echo "curl: (6) Could not resolve host: x"; exit 1',
        promised,
        'transient-failure',
        'network',
      ],
      [
        'refers to what it may not',
        'echo $out > $out',
        '{ allowedReferences = []; }',
        'output-rejected',
        'output-rejected',
      ],
      [
        'forges messages of Nix',
        `echo '@nix {"action":"msg","level":0,"msg":"error: unable to download it"}' >&2; exit 1`,
        '{}',
        'permanent-failure',
        'builder-exit',
      ],
    ])('says how a build failed that %s', async (_, script, extra, status, cause) => {
      const drvPath = await drv(script, extra);
      const { result, events } = await build(drvPath);
      expect(result).toMatchObject({ kind: 'failure', status });
      expect(JSON.stringify(result)).not.toContain('\\u001b');
      if (result.kind !== 'failure') throw new Error('unreachable');
      const failure = classifyDaemonFailure({
        outcome: result,
        requested: drvPath,
        failedBuild: drvPath,
        messages: events.filter((event) => event.kind === 'message'),
        fetcherOutput:
          extra === promised
            ? events.flatMap((event) => (event.kind === 'log-line' ? [event.text] : []))
            : [],
      });
      expect(failure).toMatchObject({ kind: 'failed', cause, failedDrv: drvPath });
    });

    it.each([
      ['is silent', 'echo one; sleep 60', { maxSilentSeconds: 1 }],
      ['takes too long', 'while true; do echo tick; sleep 0.1; done', { timeoutSeconds: 1 }],
    ])('ends a build that %s', async (_, script, settings) => {
      const { result } = await build(await drv(script), settings);
      expect(result).toMatchObject({ kind: 'failure', status: 'timed-out' });
    });

    it('ends a build that prints without end', async () => {
      const drvPath = await drv('yes "a line of a log"');
      const { result } = await build(drvPath, { overrides: { 'max-build-log-size': '100000' } });
      expect(result).toMatchObject({ kind: 'failure', status: 'log-limit-exceeded' });
      if (result.kind !== 'failure') throw new Error('unreachable');
      expect(
        classifyDaemonFailure({
          outcome: result,
          requested: drvPath,
          failedBuild: drvPath,
          messages: [],
          fetcherOutput: [],
        }).kind,
      ).toBe('log-limit');
    });

    it('says that a system or feature is missing', async () => {
      const drvPath = await drv('echo > $out', '{ requiredSystemFeatures = [ "no-such-feature" ]; }');
      const connection = await connect();
      // Older ones refuse the request, newer ones say it of the derivation.
      const outcome = await buildPathsWithResults(connection, [{ drvPath, outputs: [] }]).then(
        ([result]) => result!,
        (error: unknown) => error,
      );
      if (!(outcome instanceof NixDaemonError) && !(outcome as DaemonBuildResult).kind) throw outcome;
      expect(
        classifyDaemonFailure({
          outcome: outcome as NixDaemonError,
          requested: drvPath,
          failedBuild: null,
          messages: [],
          fetcherOutput: [],
        }),
      ).toMatchObject({ kind: 'unsatisfiable', failedDrv: drvPath });
      // A refusal is an answer: the conversation goes on.
      expect(await isValidPath(connection, drvPath)).toBe(true);
    });

    it('does not go on after a failure unless it is told to', async () => {
      const make = () =>
        drv(
          'echo > $out',
          '{ inherit one two; }',
          `one = shell "one" "exit 4 # ${flag()}" {}; two = shell "two" "exit 5 # ${flag()}" {};`,
        );
      const stopping = await build(await make());
      expect(stopping.result).toMatchObject({ kind: 'failure', status: 'dependency-failed' });
      const going = await build(await make(), { keepGoing: true });
      expect(going.result).toMatchObject({ kind: 'failure', status: 'dependency-failed' });
      const said = (events: readonly DaemonEvent[]): string[] =>
        events.flatMap((event) => (event.kind === 'message' && event.level === 0 ? [event.text] : []));
      expect(said(stopping.events).join('\n')).toMatch(/exit code [45]/);
      expect(said(going.events).join('\n')).toMatch(/exit code 4[^]*exit code 5|exit code 5[^]*exit code 4/);
    });

    it('ends the builder and all it started when it is cancelled', async () => {
      const pidFile = flag();
      const drvPath = await drv(`sleep 300 & echo $$ $! > ${pidFile}; sleep 300`);
      const [connection, other] = [await connect(), await connect()];
      const abort = new AbortController();
      const ended = buildPathsWithResults(connection, [{ drvPath, outputs: [] }], { signal: abort.signal });
      ended.catch(() => {});
      await expect.poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 20_000 }).toMatch(/\n$/);
      const reason = new Error('not wanted any more');
      abort.abort(reason);
      await expect(ended).rejects.toBe(reason);
      const pids = (await readFile(pidFile, 'utf8')).trim().split(' ').map(Number);
      expect(pids).toHaveLength(2);
      await expect.poll(() => pids.filter(isAlive), { timeout: 10_000 }).toEqual([]);
      expect(connection.isOpen).toBe(false);
      await expect(isValidPath(connection, drvPath)).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
      expect(await isValidPath(other, drvPath)).toBe(true);
    });

    it('builds on two connections at once, and refuses a second operation on one', async () => {
      const [one, two] = [flag(), flag()];
      // Each waits for the other.
      const meet = (own: string, its: string) =>
        drv(`echo > ${own}; while [ ! -e ${its} ]; do sleep 0.05; done; echo > $out`);
      const drvs = [await meet(one, two), await meet(two, one)];
      const results = await Promise.all(drvs.map((drvPath) => build(drvPath, { timeoutSeconds: 30 })));
      expect(results.map(({ result }) => result.status)).toEqual(['built', 'built']);
      const connection = await connect();
      const first = isValidPath(connection, drvs[0]!);
      await expect(isValidPath(connection, drvs[1]!)).rejects.toMatchObject({ code: 'NIX_DAEMON_BUSY' });
      expect(await first).toBe(true);
      expect(await isValidPath(connection, drvs[1]!)).toBe(true);
    });

    it('passes on whatever a builder prints, and takes no activity from it', async () => {
      const forged = nothing('forged.drv');
      const { result, events } = await build(
        await drv(`
          printf '\\033[31mred\\033[0m\\n'; printf 'nul\\000byte\\n'; printf '\\377bad\\n'
          echo '@nix {"action":"stop","id":1}' >&2
          echo '@nix {"action":"start","id":5,"level":0,"type":105,"text":"x","fields":["${forged}","",1,1]}' >&2
          echo '@nix {"action":"result","id":5,"type":101,"fields":["forged"]}' >&2
          echo '@nix {"action":"start","id":6,"level":0,"type":101,"text":"invented","fields":["x"]}' >&2
          echo '@nix {"action":"result","id":6,"type":101,"fields":["forged"]}' >&2
          head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; echo end > $out; echo end`),
      );
      expect(result.status).toBe('built');
      const lines = events.flatMap((event) => (event.kind === 'log-line' ? [event.text] : []));
      expect(lines).toContain('\u001b[31mred\u001b[0m');
      expect(lines).toContain('nul\u0000byte');
      expect(lines).toContain('\ufffdbad');
      expect(lines.some((line) => line.length === 1_000_000)).toBe(true);
      expect(lines.at(-1)).toBe('end');
      expect(lines).not.toContain('forged');
      // The one kind that a builder may begin.
      const invented = events.filter(
        (event) => event.kind === 'activity-started' && event.text === 'invented',
      );
      expect(invented).toMatchObject([{ type: 101, isForgeable: true }]);
      expect(events.filter(({ kind }) => kind === 'build-started')).toHaveLength(1);
    });

    it('says no, and can then be asked on', async () => {
      const connection = await connect();
      const refused = queryDerivationOutputMap(connection, nothing('gone.drv') as string as DrvPath);
      await expect(refused).rejects.toMatchObject({
        code: 'NIX_DAEMON_REFUSED',
        refusal: { level: 0 },
      });
      expect(await isValidPath(connection, nothing('a'))).toBe(false);
    });

    it('keeps what a link leads to, and what a connection holds, from the garbage collector', async () => {
      const [rooted, held] = [
        await buildOut(await drv('echo > $out')),
        await buildOut(await drv('echo > $out')),
      ];
      const connection = await connect();
      const link = flag();
      await symlink(rooted, link);
      await expect(addIndirectRoot(connection, 'relative')).rejects.toMatchObject({
        code: 'NIX_DAEMON_BAD_REQUEST',
      });
      await addIndirectRoot(connection, link);
      await addTempRoot(connection, held);
      await collectGarbage();
      const both = { paths: [rooted, held] };
      expect(await queryValidPaths(connection, both)).toEqual(new Set([rooted, held]));
      expect(await findRoots(connection)).toContainEqual({ link, target: rooted });
      await connection.close();
      await rm(link);
      const after = await connect();
      const left = async (): Promise<unknown> => {
        // The daemon's own process may still be on its way out.
        await collectGarbage();
        return queryValidPaths(after, both);
      };
      await expect.poll(left, { timeout: 20_000 }).toEqual(new Set());
    });

    it('roots many paths by one link, as the processes of Nix do', async () => {
      const made = await drv('echo > $out');
      const paths = [made, await buildOut(made), await buildOut(await drv('echo > $out'))];
      const [ours, theirs, none] = [flag(), flag(), flag()];
      const rootPaths = createDaemonRooting(() => connect());
      await rootPaths(ours, paths);
      await createProcessRooting(store.nix)(theirs, paths);
      expect(await readlink(ours)).toBe(await readlink(theirs));
      await rm(theirs);
      const gone = `${store.nix.storeDir}/${'a'.repeat(32)}-gone` as StorePath;
      await expect(rootPaths(none, [...paths, gone])).rejects.toMatchObject({
        code: 'NIX_DAEMON_REFUSED',
        message: expect.stringContaining('-gone') as string,
      });
      await expect(readlink(none)).rejects.toMatchObject({ code: 'ENOENT' });
      const after = await connect();
      const left = async () => {
        await collectGarbage();
        return queryValidPaths(after, { paths });
      };
      expect(await left()).toEqual(new Set(paths));
      await rm(ours);
      // The daemon's own process may still be on its way out.
      await expect.poll(left, { timeout: 20_000 }).toEqual(new Set());
    });

    it('roots what was collected meanwhile, where it can be fetched', async () => {
      const made = await buildOut(await drv('echo > $out'));
      const folder = flag();
      const { programs, env } = store.nix;
      const nix = join(dirname(programs.store), 'nix');
      const command = ['--extra-experimental-features', 'nix-command', 'copy', '--no-check-sigs'];
      const copied = await runChild({
        command: nix,
        args: [...command, '--to', `file://${folder}`, made],
        env,
      });
      expect(copied.code).toBe(0);
      const isThere = async (): Promise<boolean> => {
        await collectGarbage();
        return isValidPath(await connect(), made);
      };
      await expect.poll(isThere, { timeout: 20_000 }).toBe(false);
      const fetching = async (): Promise<DaemonConnection> => {
        const connection = await connect();
        const overrides = { substituters: `file://${folder}?trusted=true` };
        await setOptions(connection, { overrides });
        return connection;
      };
      await createDaemonRooting(fetching)(flag(), [made]);
      expect(await isThere()).toBe(true);
    });

    it('carries a closure into another store, once', async () => {
      const made = await store.instantiate(
        `rec { base = shell "carried-base" "head -c 300000 /dev/urandom > $out" {};
               top = shell "carried" "mkdir $out; echo \${base} > $out/a; ln -s \${base} $out/b" {}; }`,
      );
      const top = await buildOut(made['top']!);
      const root = join(store.folder, 'other');
      await mkdir(root, { recursive: true });
      const other = await connect(localStoreTransport(store.nix, `local?root=${root}`));
      const from = poolOver(transport);
      try {
        const closure = await queryClosure(from, [top]);
        expect(await queryValidPaths(other, { paths: closure.keys() })).toEqual(new Set());
        const copy = { from, to: other, paths: [top], allowUnsigned: true };
        const copied = await copyClosure(copy);
        expect(copied).toHaveLength(2);
        expect(copied.at(-1)).toBe(top);
        for (const [path, info] of closure) {
          expect(await queryPathInfo(other, path)).toMatchObject({
            narSha256: info.narSha256,
            narSize: info.narSize,
          });
        }
        expect(existsSync(join(root, 'nix', 'store', baseNameOf(top)))).toBe(true);
        expect(await copyClosure(copy)).toEqual([]);
        // What derivations are called comes from their content: nobody needs to have signed them.
        const derivations = await copyClosure({ from, to: other, paths: [made['top']!] });
        expect(new Set(derivations)).toEqual(new Set(Object.values(made)));
        expect(derivations.at(-1)).toBe(made['top']);
      } finally {
        await from.close();
      }
    });

    it('refuses an archive that is not what it is said to be, and one that it cannot read', async () => {
      const path = await buildOut(await drv('head -c 200000 /dev/urandom > $out'));
      const root = join(store.folder, 'another');
      await mkdir(root, { recursive: true });
      const [connection, other] = [
        await connect(),
        await connect(localStoreTransport(store.nix, `local?root=${root}`)),
      ];
      const info = (await queryPathInfo(connection, path))!;
      const pieces: Buffer[] = [];
      await narFromPath(connection, { info, take: (bytes) => void pieces.push(Buffer.from(bytes)) });
      const nar = Buffer.concat(pieces);
      expect(nar.length).toBe(info.narSize);
      const broken = Buffer.from(nar);
      broken[100_000] = ~broken[100_000]!;
      const add = (bytes: Buffer) =>
        addToStoreNar(other, { info, sendNar: async (take) => take(bytes) }, { allowUnsigned: true });
      await expect(add(broken)).rejects.toMatchObject({ code: 'NIX_DAEMON_REFUSED' });
      await add(nar);
      expect(await isValidPath(other, path)).toBe(true);
      // Too few bytes would be filled up with whatever comes next.
      await expect(add(nar.subarray(0, 1000))).rejects.toMatchObject({ code: 'NIX_DAEMON_BAD_REQUEST' });
      expect(other.isOpen).toBe(false);
      const gone = { ...info, path: nothing('a') };
      const read = narFromPath(connection, { info: gone, take: () => {} });
      await expect(read).rejects.toMatchObject({ code: 'NIX_DAEMON_REFUSED' });
      expect(connection.isOpen).toBe(false);
    });
  });
};
