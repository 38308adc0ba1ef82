// The system's programs on a machine like NixOS: links into a store, a private one here.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createStoreQueries } from './store-queries.ts';
import { createSystem, storePathAround } from './system-programs.ts';
import { createPrivateStore, type PrivateStore } from './testing/private-store.ts';

let store: PrivateStore;
/** By name. */
let built: Record<string, string>;
beforeAll(async () => {
  store = await createPrivateStore();
  const drvs = await store.instantiate(`rec {
    libc = shell "libc" "mkdir $out; echo libc > $out/so" { };
    bash = shell "bash" "mkdir -p $out/bin; echo $libc > $out/bin/sh" { inherit libc; };
    tools = shell "tools" "mkdir -p $out/bin; echo $bash > $out/bin/tool" { inherit bash; };
    certificates = shell "certificates" "echo text > $out" { };
    secret = shell "secret" "echo secret > $out" { };
    etc = shell "etc" "mkdir -p $out/ssl/certs; ln -s $secret $out/config; ln -s $certificates $out/ssl/certs/ca.crt" {
      inherit secret certificates;
    };
  }`);
  const done = await runChild({
    command: store.nix.programs.store,
    args: ['--realise', ...Object.values(drvs)],
    env: store.nix.env,
  });
  if (done.code !== 0) throw new Error(done.stderr);
  built = Object.fromEntries(
    done.stdout
      .trim()
      .split('\n')
      .map((path) => [path.slice(path.indexOf('-', path.lastIndexOf('/')) + 1), path]),
  );
});
afterAll(() => store.remove());

const never = new AbortController().signal;
const named = (...names: string[]): string[] => names.map((name) => built[name] ?? '').toSorted();

const systemIn = async (searchPath: string) => {
  const root = join(store.folder, 'root');
  const at = (...names: string[]): string => join(root, ...names);
  await mkdir(at('bin'), { recursive: true });
  await mkdir(at('run'));
  await mkdir(at('usr', 'bin'), { recursive: true });
  await mkdir(at('etc', 'ssl', 'certs'), { recursive: true });
  await writeFile(at('usr', 'bin', 'own'), '');
  await symlink(join(built['bash'] ?? '', 'bin/sh'), at('bin', 'sh'));
  await symlink('own', at('usr', 'bin', 'link'));
  await symlink(built['tools'] ?? '', at('run', 'sw'));
  await symlink(built['etc'] ?? '', at('etc', 'static'));
  await symlink('../../static/ssl/certs/ca.crt', at('etc', 'ssl', 'certs', 'ca.crt'));
  let asked = 0;
  const system = createSystem({
    nix: store.nix,
    queries: (asking) => {
      asked += 1;
      return createStoreQueries(store.nix, asking);
    },
    searchPath: searchPath.replaceAll('ROOT', root),
    places: {
      directories: [at('usr'), at('bin'), at('lib')],
      networkFiles: [at('etc', 'hosts'), at('etc', 'ssl'), at('etc', 'static', 'ssl')],
      wholeConfiguration: at('etc', 'static'),
    },
  });
  return { root, system, asked: () => asked };
};

it('shows what programs and search path need, whole, and names folders where they really are', async () => {
  const { root, system, asked } = await systemIn('ROOT/run/sw/bin:ROOT/usr/bin:/nowhere:');
  const { searchPath, storePaths } = await system.programs(never);
  expect(searchPath).toBe(`${built['tools']}/bin:${root}/usr/bin:/nowhere`);
  expect(storePaths.toSorted()).toEqual(named('libc', 'bash', 'tools'));
  expect((await system.programs(never)).storePaths).toEqual(storePaths);
  expect(asked()).toBe(1);
  // Certificates by way of the configuration; of the configuration itself nothing.
  expect(await system.network(never)).toEqual(named('certificates'));
});

it('knows which path of the store something is in', () => {
  const path = `/nix/store/${'0'.repeat(32)}-a`;
  expect(storePathAround(`${path}/bin/x`, '/nix/store')).toBe(path);
  expect(storePathAround(path, '/nix/store')).toBe(path);
  for (const other of [
    '/nix/store',
    '/nix/store/',
    '/nix/store/.links/x',
    `${path}`.replace('store', 'stored'),
    '/bin',
  ]) {
    expect(storePathAround(other, '/nix/store')).toBeNull();
  }
});
