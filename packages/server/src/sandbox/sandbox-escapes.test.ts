// What a hostile command tries, and what comes of it. One test an attempt.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalSandbox } from './local/local-sandbox.ts';
import { createRunnerClient } from './runner-client.ts';
import { findSleepers, makeStore, type Outcome, runScript, textOf } from './sandbox.contract.ts';
import type { Sandbox } from './sandbox.ts';

const canary = 'canary-7f3a9c';
const runnerProgram = fileURLToPath(new URL('../eka-ci-server.mjs', import.meta.url));

/** Numbers for perl's `syscall`; those above 424 are the same everywhere. */
const calls = {
  x64: {
    ptrace: 101,
    unshare: 272,
    setns: 308,
    mount: 165,
    keyctl: 250,
    bpf: 321,
    perf: 298,
    handle: 304,
    kexec: 246,
    module: 175,
    fault: 323,
    memfd: 319,
    vmRead: 310,
  },
  arm64: {
    ptrace: 117,
    unshare: 97,
    setns: 268,
    mount: 40,
    keyctl: 219,
    bpf: 280,
    perf: 241,
    handle: 265,
    kexec: 104,
    module: 105,
    fault: 282,
    memfd: 279,
    vmRead: 270,
  },
}[process.arch === 'arm64' ? 'arm64' : 'x64'];
const [EPERM, ENOSYS] = [1, 38];

const listening = async (server: Server, where: object): Promise<Server> => {
  server.listen(where);
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
};

const hasPerl = findProgram('perl') !== null;

describe('who tries to get out of the sandbox', () => {
  let folder: string;
  let copies: string;
  let tree: string;
  let secret: string;
  let sandbox: Sandbox;
  const reached: string[] = [];
  const servers: Server[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eka-ci-escape-'));
    [copies, tree, secret] = [join(folder, 'copies'), join(folder, 'tree'), join(folder, 'secret')];
    for (const each of [copies, tree, join(folder, 'other')]) mkdirSync(each);
    writeFileSync(secret, canary);
    chmodSync(secret, 0o666);
    writeFileSync(join(folder, 'other', 'file'), canary);
    writeFileSync(join(tree, 'file'), 'own');
    process.env['SANDBOX_TEST_CANARY'] = canary;
    sandbox = createLocalSandbox({ folder: copies });
    const listen = async (name: string, where: object): Promise<void> => {
      servers.push(
        await listening(
          createServer((socket) => {
            reached.push(name);
            socket.destroy();
          }),
          where,
        ),
      );
    };
    await listen('tcp', { port: 0, host: '127.0.0.1' });
    await listen('socket', { path: join(folder, 'server.sock') });
    await listen('abstract', { path: `\0eka-ci-escape-${process.pid}` });
  });
  afterAll(() => {
    delete process.env['SANDBOX_TEST_CANARY'];
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (script: string, asked: Parameters<typeof runScript>[3] = {}): Promise<Outcome> =>
    runScript(sandbox, tree, script, asked);
  /** Prints the error numbers of what the lines of perl gave. */
  const perl = async (...lines: string[]): Promise<string[]> => {
    const program = lines.map((line) => `$! = 0; ${line}; print $! + 0, "\\n";`).join(' ');
    return textOf(await run('', { command: ['perl', '-MSocket', '-e', program] })).split('\n');
  };
  const port = (): number => {
    const address = servers[0]?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  };
  const tcp = (): string =>
    `socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(${port()}, inet_aton("127.0.0.1")))`;

  it('finds no file of the machine', async () => {
    const places = [
      '/root',
      '/home',
      '/etc/shadow',
      '/etc/ssh',
      '/var',
      '/run',
      '/sys',
      '/boot',
      '/mnt',
      '/srv',
      '/opt',
    ];
    const outcome = await run(
      `ls -d ${places.join(' ')} ${folder} ${secret} 2>/dev/null; ls -A /tmp /etc; cat ${secret}`,
    );
    expect(textOf(outcome).split('\n').slice(0, 5)).toEqual(['/etc:', 'group', 'passwd', '', '/tmp:']);
    expect(textOf(outcome)).not.toContain(canary);
  });

  it('finds no other checkout, not even beside its own', async () => {
    const outcome = await run(
      `ls -A /build /build/source/..; cat ${folder}/other/file ../../other/file ../*/file`,
    );
    expect(textOf(outcome)).toContain('home\nsource');
    expect(textOf(outcome)).not.toContain(canary);
    expect(textOf(outcome)).not.toMatch(/check-|copies\n/);
  });

  it('reads and lists nothing of the store but what it was given', async () => {
    const store = makeStore(1);
    // A build may make whatever link it likes of its output.
    const shown = [store.at('1'), store.at('link')];
    const outcome = await run(
      `cd "${store.path}"; ls; cat "${store.at('hidden')}/text" "${store.at('file')}" "${store.at('link')}/text"; ls /nix/var`,
      { storePaths: shown },
    );
    expect(textOf(outcome)).not.toMatch(/text of|a file/);
    const listed = textOf(outcome).split('\n').slice(0, 3);
    expect(listed).toEqual([...shown.map((path) => basename(path)), expect.stringMatching(/^cat:/)]);
    rmSync(store.path, { recursive: true });
  });

  it("sees neither the server's environment nor any process but its own", async () => {
    const outcome = await run(
      'cat /proc/1/environ /proc/[0-9]*/environ /proc/$PPID/environ | tr "\\0" "\\n"; ls -d /proc/[0-9]* | wc -l',
    );
    expect(textOf(outcome)).not.toContain(canary);
    expect(textOf(outcome)).toContain('HOME=/build/home');
    expect(Number(textOf(outcome).split('\n').at(-1))).toBeLessThan(8);
  });

  it.skipIf(!hasPerl)('reaches nobody: TCP, a socket of the server, an abstract one, names', async () => {
    const unix = (path: string): string =>
      `socket(U, PF_UNIX, SOCK_STREAM, 0); connect(U, pack_sockaddr_un("${path}"))`;
    const attempts = [tcp(), unix(`${folder}/server.sock`), unix(`\\0eka-ci-escape-${process.pid}`)];
    const [overTcp, overPath, abstract] = await perl(...attempts);
    const [ENOENT, ENETUNREACH, ECONNREFUSED] = ['2', '101', '111'];
    expect([overTcp, overPath, abstract]).toEqual([expect.stringMatching(/101|111/), ENOENT, ECONNREFUSED]);
    expect([ENETUNREACH, ECONNREFUSED]).toContain(overTcp);
    expect(
      textOf(
        await run(
          'ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev; getent hosts example.org; echo $?',
        ),
      ),
    ).toBe('1\n2');
    expect(reached).toEqual([]);
  });

  it.skipIf(!hasPerl)(
    'reaches the network where that was allowed: the attempt above is a real one',
    async () => {
      const outcome = await run('', {
        command: ['perl', '-MSocket', '-e', `${tcp()} or die $!`],
        allowNetwork: true,
      });
      expect(outcome.result).toMatchObject({ kind: 'ended', status: 0 });
      await expect.poll(() => reached).toEqual(['tcp']);
      reached.length = 0;
    },
  );

  it('can write where it should, and nowhere else', async () => {
    const outcome = await run(
      'find / \\( -path /proc -o -path /usr -o -path /nix -o -path /dev/pts \\) -prune -o -type d -writable -print 2>/dev/null | sort',
    );
    expect(textOf(outcome).split('\n')).toEqual(['/build/home', '/build/source', '/dev/shm', '/tmp']);
    const files = ['/x', '/etc/passwd', '/usr/x', '/nix/store/x', '/build/x', '/dev/x'];
    const kernel = [
      'sys/kernel/core_pattern',
      'sys/kernel/hostname',
      'sys/vm/drop_caches',
      'sysrq-trigger',
      'self/oom_score_adj',
    ];
    const places = [...files, ...kernel.map((name) => `/proc/${name}`)];
    const tried = await run(
      `for f in ${places.join(' ')}; do (: >> $f) 2>/dev/null && echo "$f"; done; echo end`,
    );
    expect(textOf(tried)).toBe('end');
  });

  it('follows no link out of the tree, and neither do we', async () => {
    const linked = join(folder, 'linked');
    mkdirSync(linked);
    symlinkSync(secret, join(linked, 'secret'));
    symlinkSync(folder, join(linked, 'folder'));
    symlinkSync('../../../../../../..', join(linked, 'up'));
    symlinkSync('/etc/shadow', join(linked, 'shadow'));
    const outcome = await runScript(
      sandbox,
      linked,
      `cat secret shadow folder/secret up${secret} up/etc/shadow; echo x > secret; echo x > folder/mine; rm up; ln -s ${folder} here; chmod 777 here; ls`,
    );
    expect(textOf(outcome)).not.toContain(canary);
    expect(textOf(outcome)).not.toContain('root:');
    expect(textOf(outcome)).toContain('here\nsecret\nshadow');
    expect(readFileSync(secret, 'utf8')).toBe(canary);
    expect(existsSync(join(folder, 'mine'))).toBe(false);
    // The copy was removed: with the links, not with what they point to.
    expect(existsSync(join(folder, 'other', 'file'))).toBe(true);
  });

  it('makes no second name for a file of the machine, and no device', async () => {
    const outcome = await run(
      'for f in /etc/passwd /bin/sh /usr/bin/env; do ln -L $f here 2>/dev/null && echo linked; done; mknod d b 8 0 && echo made; mknod c c 1 1 && echo made; ls',
    );
    expect(textOf(outcome)).not.toMatch(/linked|made/);
  });

  it('gets no rights by a set-user-id program', async () => {
    const outcome = await run(
      'cp /bin/sh mine; chmod 6755 mine; ./mine -c "id -u"; find / -xdev -perm -4000 -type f 2>/dev/null | head -3; for p in su mount newgrp; do $p -c id 2>&1 </dev/null; done; grep -E "NoNewPrivs|CapPrm|CapEff" /proc/self/status',
    );
    expect(textOf(outcome)).toMatch(/^[1-9]\d+\n/);
    expect(textOf(outcome)).not.toContain('uid=0');
    expect(textOf(outcome)).toMatch(/CapPrm:\s+0+\nCapEff:\s+0+\nNoNewPrivs:\s+1/);
  });

  it.skipIf(!hasPerl)('makes no system call that leads out', async () => {
    const attempts = {
      ptrace: `syscall(${calls.ptrace}, 16, getppid(), 0, 0)`,
      'another process’s memory': `syscall(${calls.vmRead}, getppid(), 0, 0, 0, 0, 0)`,
      'a user namespace': `syscall(${calls.unshare}, 0x10000000)`,
      'a mount namespace': `syscall(${calls.unshare}, 0x20000)`,
      'a namespace of others':
        'open(N, "<", "/proc/1/ns/user"); $! = 0; ' + `syscall(${calls.setns}, fileno(N), 0)`,
      mount: `my $t = "tmpfs"; my $p = "/tmp"; syscall(${calls.mount}, $t, $p, $t, 0, 0)`,
      keys: `syscall(${calls.keyctl}, 0, -3, 1)`,
      bpf: `syscall(${calls.bpf}, 0, 0, 0)`,
      'performance events': `syscall(${calls.perf}, 0, 0, -1, -1, 0)`,
      'files by handle': `syscall(${calls.handle}, 0, 0, 0)`,
      kexec: `syscall(${calls.kexec}, 0, 0, 0, 0)`,
      modules: `syscall(${calls.module}, 0, 0, 0)`,
      'faults of memory': `syscall(${calls.fault}, 0)`,
      'typing into a terminal': 'open(P, "+<", "/dev/ptmx"); $! = 0; my $c = "x"; ioctl(P, 0x5412, $c)',
    };
    expect(await perl(...Object.values(attempts))).toEqual(Object.values(attempts).map(() => String(EPERM)));
    const missing = [
      'syscall(435, 0, 0)',
      'syscall(425, 8, 0)',
      `syscall(${calls.memfd}, 0, 0)`,
      'syscall(447, 0)',
      'syscall(40000)',
    ];
    if (process.arch === 'x64') missing.push('syscall(0x40000000 + 39)');
    expect(await perl(...missing)).toEqual(missing.map(() => String(ENOSYS)));
    expect(await perl('syscall(38, 1, 2, 3, 4, 5, 6)', 'socket(S, 17, 3, 0)', 'socket(S, 40, 1, 0)')).toEqual(
      [expect.any(String), '97', '97'],
    );
  });

  it('makes no sandbox within the sandbox', async () => {
    const outcome = await run(
      'unshare -U true && echo made; unshare -r true && echo made; bwrap --unshare-user --ro-bind / / true && echo made; echo end',
    );
    expect(textOf(outcome)).not.toContain('made');
    expect(textOf(outcome)).toMatch(/end$/);
  });

  it('ends no process but its own', async () => {
    const outsider: ChildProcess = spawn('sleep', ['1000']);
    const pids = [process.pid, process.ppid, outsider.pid].join(' ');
    const outcome = await run(`for p in ${pids}; do kill -9 $p 2>/dev/null && echo killed; done; kill -9 -1`);
    expect(textOf(outcome)).not.toContain('killed');
    expect(outsider.exitCode ?? outsider.signalCode).toBeNull();
    outsider.kill('SIGKILL');
  });

  it('gets no file that whoever started the server left open', async () => {
    const left = createRunnerClient({
      connect: async () => {
        const script = `exec 7<${secret} 8>>${secret}; exec "$0" "$@"`;
        const child = spawn('sh', ['-c', script, process.execPath, runnerProgram, 'sandbox-runner', copies], {
          stdio: ['pipe', 'pipe', 'inherit'],
          env: { PATH: process.env['PATH'] },
        });
        const gone = new Promise((resolve) => child.once('close', resolve));
        const close = async (): Promise<void> => {
          child.stdin.end();
          await gone;
        };
        return { input: child.stdout, output: child.stdin, complaint: () => '', close };
      },
      seesFolders: true,
    });
    const outcome = await runScript(
      left,
      tree,
      'ls /proc/self/fd; cat <&7; echo no >&8; ls -l /proc/self/fd',
    );
    expect(textOf(outcome)).toMatch(/^0\n1\n2\n3\n/);
    expect(textOf(outcome)).not.toContain('secret');
    expect(readFileSync(secret, 'utf8')).toBe(canary);
  });

  it('cannot fork for ever', async () => {
    const outcome = await run('f() { f | f & f; }; f', { limits: { maxProcesses: 64, timeoutMs: 1500 } });
    expect(outcome.result.kind).not.toBe('refused');
    expect(readdirSync(copies)).toEqual([]);
    const counted = await run(
      'i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); done; sleep 2; echo all',
      { limits: { maxProcesses: 64 } },
    );
    expect(textOf(counted)).not.toMatch(/all$/);
  });

  it.skipIf(!hasPerl)('cannot take more memory, in one process, in several, or in files', async () => {
    const limits = { maxMemoryMib: 256, maxProcesses: 64 };
    const eat = (mib: number): string =>
      `perl -e '$x = "a" x ${mib} x 1; my $y = "b" x (${mib} << 20); sleep 60'`;
    const one = await run(eat(400), { limits });
    expect(one.result).not.toMatchObject({ status: 0 });
    const several = await run(`for i in 1 2 3 4; do ${eat(100)} & done; wait`, { limits });
    expect(several.result).toMatchObject({ kind: 'out-of-memory' });
    const files = await run(
      `for d in /tmp ~ /dev/shm; do cat /dev/zero > $d/zero; done; df -m /tmp ~ /dev/shm; ${eat(120)}`,
      { limits },
    );
    expect(files.result).toMatchObject({ kind: 'out-of-memory' });
    expect(textOf(files)).toMatch(/No space left/i);
  });

  it('cannot compute for ever, in one process or in several', async () => {
    const spin = 'while :; do :; done';
    const one = await run(spin, { limits: { maxCpuSeconds: 1 } });
    expect(one.result).toMatchObject({ kind: 'timed-out' });
    const several = await run(`(${spin}) & (${spin}) & (${spin}) & wait`, { limits: { maxCpuSeconds: 1 } });
    expect(several.result).toMatchObject({ kind: 'timed-out' });
  });

  it.skipIf(!hasPerl)('cannot compute for ever in children whose time nobody asks for', async () => {
    const script =
      '$SIG{CHLD} = "IGNORE"; for (1..6) { my $p = fork; if (!$p) { my ($u, $s) = times; ($u, $s) = times while $u + $s < 0.4; exit } waitpid($p, 0) }';
    const outcome = await run('', { command: ['perl', '-e', script], limits: { maxCpuSeconds: 1 } });
    expect(outcome.result).toMatchObject({ kind: 'timed-out' });
  });

  it('has no more files open than the bound of a process', async () => {
    expect(textOf(await run('ulimit -n; ulimit -Hn'))).toBe('1024\n1024');
  });

  it('cannot make a file larger than the bound of a file', async () => {
    const outcome = await run('truncate -s 5G big; echo "status $?"; stat -c "size %s" big; ulimit -c');
    expect(textOf(outcome)).not.toContain('status 0');
    expect(textOf(outcome)).toMatch(/size 0\n0$/);
  });

  it('leaves nobody behind who hides from its parent', async () => {
    const time = `2${process.pid}.${Date.now() % 1_000_000}`;
    const deaf = `trap '' TERM HUP INT; exec >/dev/null 2>&1 </dev/null; exec sleep ${time}`;
    expect(textOf(await run(`(setsid sh -c "${deaf}" &); sleep 0.2; echo gone`))).toBe('gone');
    expect(findSleepers(time)).toEqual([]);
  });
});
