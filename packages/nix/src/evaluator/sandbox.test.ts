import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationRequest } from './evaluator.ts';
import { createSandbox, sandboxArguments } from './sandbox.ts';
import { createStockEvaluator } from './stock/stock-evaluator.ts';
import { collectEvaluation } from './testing/collect.ts';
import { drv } from './testing/package-sets.ts';
import { makeTemporaryStore, type TemporaryStore } from './testing/temporary-store.ts';

describe('the sandbox of evaluation', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore();
  });
  afterAll(() => store.remove());

  const options = (tree: string) => ({
    tree,
    writable: [],
    allowNetwork: false,
    allowImportFromDerivation: false,
    sandbox: 'required' as const,
  });
  /** The same Nix with a bubblewrap that cannot make namespaces, as on a machine that forbids them. */
  const withoutNamespaces = () => {
    const bin = join(store.folder, 'bin');
    writeFileSync(
      join(store.folder, 'bwrap'),
      '#!/bin/sh\necho "No permissions to create a new namespace" >&2\nexit 1\n',
    );
    chmodSync(join(store.folder, 'bwrap'), 0o755);
    return {
      ...store.nix,
      env: { ...store.nix.env, PATH: `${store.folder}:${bin}:${store.nix.env['PATH']}` },
    };
  };
  const request = (tree: string, sandbox: EvaluationRequest['sandbox']): EvaluationRequest => ({
    tree,
    sandbox,
    target: { kind: 'file', file: 'default.nix', attrPath: [] },
    limits: { workers: 1, maxMemoryMib: 512, timeoutMs: 30_000 },
    allowImportFromDerivation: false,
    allowNetwork: false,
    rootsDir: join(store.folder, 'roots'),
  });

  it('shows the tree, the store and no more, and lets nothing else be written', async ({ skip }) => {
    const tree = await store.tree({ 'default.nix': '{ }' });
    const confining = await createSandbox(store.nix).prepare(options(tree));
    if (confining.kind !== 'confined') return skip('no user namespaces here');
    const { confinement } = confining;
    const script =
      'ls /; ls /build /etc /root /home /var 2>/dev/null; id -u; cat /proc/net/dev | grep -c :; ls -d /proc/[0-9]* | wc -l; ' +
      `for f in /x /usr/x /build/source/x /build/x; do echo > $f && echo "wrote $f"; done; echo > ${store.folder}/x; ` +
      `echo > ${store.nix.storeDir}/mine && rm ${store.nix.storeDir}/mine && echo store`;
    const [command = '', ...args] = confinement.wrap(['/bin/sh', '-c', script]);
    const { stdout } = await runChild({ command, args, env: confinement.env });
    await confinement.dispose();
    const words = stdout.split('\n');
    expect(words).toEqual(expect.arrayContaining(['build', 'proc', 'source', 'store']));
    expect(words).not.toEqual(expect.arrayContaining(['root']));
    expect(stdout).not.toContain('wrote');
    expect(stdout).not.toContain('passwd');
    expect(existsSync(join(store.folder, 'x'))).toBe(false); // It went to the sandbox's own /tmp.
    expect(confinement.tree.endsWith('/source')).toBe(true);
  });

  it('lets nobody make system calls that lead out, but where Nix builds in a sandbox of its own', async ({
    skip,
  }) => {
    const tree = await store.tree({ 'default.nix': '{ }' });
    const sandbox = createSandbox(store.nix);
    const filtersIn = async (allowImportFromDerivation: boolean): Promise<string> => {
      const confining = await sandbox.prepare({ ...options(tree), allowImportFromDerivation });
      if (confining.kind !== 'confined') return skip('no user namespaces here');
      const [command = '', ...args] = confining.confinement.wrap([
        '/bin/grep',
        'Seccomp_filters',
        '/proc/self/status',
      ]);
      const { stdout } = await runChild({ command, args, env: confining.confinement.env });
      await confining.confinement.dispose();
      return stdout.trim().split(/\s+/)[1] ?? '';
    };
    const ours = /Seccomp_filters:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
    expect(await filtersIn(false)).toBe(String(Number(ours) + 1));
    expect(await filtersIn(true)).toBe(ours);
  });

  it('keeps the store from being copied as a whole', async ({ skip }) => {
    mkdirSync(join(store.nix.storeDir, '.links'), { recursive: true });
    const copied = `builtins.fetchTree { type = "path"; path = builtins.storeDir; rev = "${'1'.repeat(40)}"; }`;
    const tree = await store.tree({
      'flake.nix': `{ outputs = _: { checks.x86_64-linux.a = derivation { name = "a"; system = "x"; builder = "b"; args = builtins.attrNames (builtins.readDir (${copied})); }; }; }`,
    });
    const target = {
      kind: 'flake',
      output: 'checks',
      systems: ['x86_64-linux'],
      rev: null,
      lastModified: null,
    } as const;
    const asked = { ...request(tree, 'preferred'), target };
    const seen = await collectEvaluation(createStockEvaluator(store.nix), asked);
    if (seen.warnings.length > 0) return skip('no user namespaces here');
    // 2.8 copies it; newer ones do not take it for locked.
    expect(JSON.stringify(seen.records)).toMatch(/Permission denied|unlocked/);
  });

  it('runs no program that a repository in the tree names', async ({ skip }) => {
    const hook = join(store.nix.storeDir, 'hooked');
    const tree = await store.tree({
      'default.nix': `derivation { name = "own"; system = "x"; builder = "b"; src = builtins.fetchGit { url = toString ./own; }; }`,
      'own/file': 'x',
    });
    const own = join(tree, 'own');
    const git = (...args: string[]): void => {
      execFileSync('git', ['-C', own, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        stdio: 'pipe',
      });
    };
    git('init', '--quiet');
    git('add', 'file');
    git('commit', '--quiet', '--message=x');
    git('config', 'core.fsmonitor', `echo > ${hook}; false`);
    const seen = await collectEvaluation(createStockEvaluator(store.nix), request(tree, 'preferred'));
    if (seen.warnings.length > 0) return skip('no user namespaces here');
    expect(existsSync(hook)).toBe(false);
    expect(JSON.stringify(seen)).not.toContain('"kind":"derivation"');
  });

  it('gives every tree the same place, so that even a path turned into text is equal', async ({ skip }) => {
    const text = `{ a = ${drv('a', 'place = toString ./.;')}; }`;
    const evaluator = createStockEvaluator(store.nix);
    const one = await collectEvaluation(
      evaluator,
      request(await store.tree({ 'default.nix': text }), 'preferred'),
    );
    if (one.warnings.length > 0) return skip('no user namespaces here');
    const other = await collectEvaluation(
      evaluator,
      request(await store.tree({ 'default.nix': text }), 'preferred'),
    );
    expect(other.records).toEqual(one.records);
    expect(one.records).toHaveLength(1);
  });

  it('is left out of the arguments only for the network, when that is allowed', () => {
    const closed = sandboxArguments(store.nix, options(store.folder));
    const open = sandboxArguments(store.nix, { ...options(store.folder), allowNetwork: true });
    expect(closed).toContain('--unshare-net');
    expect(closed).not.toContain('/etc/resolv.conf');
    expect(open).not.toContain('--unshare-net');
  });

  it('is never gone without where it is required', async () => {
    const tree = await store.tree({ 'default.nix': `{ a = ${drv('a')}; }` });
    const evaluator = createStockEvaluator(withoutNamespaces());
    const refused = await collectEvaluation(evaluator, request(tree, 'required'));
    expect(refused.records).toEqual([]);
    expect(refused.end).toMatchObject({ kind: 'failed' });
    expect(JSON.stringify(refused.end)).toContain('No permissions to create a new namespace');
  });

  it('where it is preferred and missing, evaluation warns, reads no configuration, and gives the same derivations', async () => {
    const text = `{ a = ${drv('a', 'src = ./.;')}; conf = builtins.trace "conf=\${builtins.getEnv "NIX_CONF_DIR"} home=\${builtins.getEnv "HOME"}" ${drv('b')}; bad = abort "here"; }`;
    const [one, other] = [
      await store.tree({ 'default.nix': text }),
      await store.tree({ 'default.nix': text }),
    ];
    const confined = await collectEvaluation(createStockEvaluator(store.nix), request(one, 'preferred'));
    const bare = await collectEvaluation(
      createStockEvaluator(withoutNamespaces()),
      request(other, 'preferred'),
    );
    expect(bare.warnings.join()).toContain('without a sandbox');
    const byAttr = (records: typeof bare.records) => records.toSorted((a, b) => (a.attr < b.attr ? -1 : 1));
    expect(byAttr(bare.records)).toEqual(byAttr(confined.records));
    expect(bare.records).toHaveLength(3);
    expect(bare.logs.join()).not.toContain(store.nix.confDir);
  });
});
