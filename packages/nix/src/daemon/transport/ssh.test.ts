import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrivateStore, type PrivateStore } from '../../testing/private-store.ts';
import { connectDaemon } from '../daemon-connection.ts';
import { isValidPath } from '../query-operations.ts';
import { type SshTarget, sshCommand, sshTransport } from './ssh.ts';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const env = { PATH: '/usr/bin:/bin' };

describe('the command for ssh', () => {
  it('asks nobody, notices the dead, and names what runs there', () => {
    const { command, args } = sshCommand({
      host: 'builder.example',
      user: 'nix',
      port: 2222,
      identityFile: '/keys/a key',
      knownHostsFile: '/ho sts%d',
      sshArgs: ['-4'],
      env,
    });
    expect(command).toBe('ssh');
    expect(args.join(' ')).toBe(
      '-a -x -T -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=3 ' +
        '-p 2222 -i /keys/a key -o IdentitiesOnly=yes -o UserKnownHostsFile="/ho sts%%d" -o GlobalKnownHostsFile=/dev/null ' +
        '-4 -- nix@builder.example nix-daemon --stdio',
    );
  });

  it('leaves no word of the remote command to the shell there', () => {
    const { args } = sshCommand({ host: 'a', remoteCommand: ['/opt/my nix/daemon', "it's", '$(x)'], env });
    expect(args.at(-1)).toBe(`'/opt/my nix/daemon' 'it'\\''s' '$(x)'`);
  });

  it.each(['-oProxyCommand=x', 'a b', '', 'a\nb', 'a;b'])('refuses the host %j', (host) => {
    expect(() => sshCommand({ host, env })).toThrow(/no name for ssh/);
    expect(() => sshTransport({ host: 'a', user: host, env })).toThrow(/no name for ssh/);
  });
});

describe('a daemon through ssh', () => {
  let store: PrivateStore;
  let folder: string;

  /** As ssh does: the words after the host are one command for the shell of the other machine. */
  const target = async (script: string): Promise<SshTarget> => {
    const program = join(folder, 'ssh');
    await writeFile(program, `#!/bin/sh\necho "$@" > ${folder}/args\n${script}\n`);
    await chmod(program, 0o755);
    return { host: 'far', program, env: { ...store.nix.env, NIX_REMOTE: 'local' } };
  };
  const connect = (over: SshTarget) =>
    connectDaemon(sshTransport(over), { storeDir: store.nix.storeDir, connectTimeoutMs: 20_000 });

  beforeAll(async () => {
    store = await createPrivateStore();
    folder = await mkdtemp(join(tmpdir(), 'eka-ci-ssh-'));
  });
  afterAll(async () => {
    await store.remove();
    await rm(folder, { recursive: true });
  });

  it('is spoken to as any other', async () => {
    const over = await target(`while [ "$1" != -- ]; do shift; done; shift 2; exec sh -c "$*"`);
    const remoteCommand = [join(dirname(store.nix.programs.store), 'nix-daemon'), '--stdio'];
    const connection = await connect({ ...over, remoteCommand });
    expect(connection.daemon.nixVersion).toBe(store.nix.version);
    const { it: drvPath } = await store.instantiate('{ it = shell "it" "echo > $out" {}; }');
    expect(await isValidPath(connection, drvPath!)).toBe(true);
    await connection.close();
    expect(await readFile(join(folder, 'args'), 'utf8')).toContain(' -- far ');
  });

  it('is ended when it is not wanted any more, whatever it does then', async () => {
    const pidFile = join(folder, 'pid');
    const over = await target(`echo $$ > ${pidFile}; exec sleep 1000`);
    const abort = new AbortController();
    const options = { storeDir: store.nix.storeDir, signal: abort.signal };
    const attempt = connectDaemon(sshTransport(over), options);
    attempt.catch(() => {});
    await expect.poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 20_000 }).toMatch(/\n$/);
    const pid = Number(await readFile(pidFile, 'utf8'));
    const reason = new Error('no more');
    abort.abort(reason);
    await expect(attempt).rejects.toBe(reason);
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });

  it('says what ssh said when there is none', async () => {
    // What it says may come after it has hung up.
    const over = await target(
      'exec >&-; sleep 0.2; echo "ssh: connect to host far port 22: Connection refused" >&2; exit 255',
    );
    await expect(connect(over)).rejects.toMatchObject({
      code: 'NIX_DAEMON_UNREACHABLE',
      message: expect.stringMatching(/ssh far.*Connection refused/) as string,
    });
    await expect(connect({ ...over, program: join(folder, 'none') })).rejects.toMatchObject({
      code: 'NIX_DAEMON_UNREACHABLE',
    });
  });

  it('is not confused by a profile that prints', async () => {
    await expect(connect(await target('echo "Welcome to the machine far"'))).rejects.toMatchObject({
      code: 'NIX_DAEMON_PROTOCOL',
      message: expect.stringMatching(/Welcome .*profile/) as string,
    });
  });
});
