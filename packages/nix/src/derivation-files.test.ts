import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DrvPath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import { afterAll, describe, expect, it } from 'vitest';
import { parseDerivation, printDerivation } from './derivation.ts';
import { envText, factsOf, structuredAttrsOf, toDrvNode } from './derivation-facts.ts';
import {
  type ClosureRequest,
  createFileReader,
  type ReadDerivation,
  readDerivationClosure,
} from './derivation-files.ts';
import { findNix } from './installation.ts';
import { derivationNameOf, parseDrvPath } from './store-path.ts';

const top = mkdtempSync(join(tmpdir(), 'eka-ci-derivation-files-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));

const readAll = async (request: ClosureRequest): Promise<ReadDerivation[]> => {
  const all: ReadDerivation[] = [];
  for await (const batch of readDerivationClosure(request)) all.push(...batch);
  return all;
};

const storeDir = '/nix/store';
const pathOf = (name: string): DrvPath =>
  parseDrvPath(`${storeDir}/${name.padStart(32, '0').replace(/[eotu]/g, 'x')}-${name}.drv`, storeDir);

/** A store of derivations by name, each with the names of what it needs. */
const storeOf = (label: string, needs: Readonly<Record<string, readonly string[]>>): string => {
  const folder = join(top, label);
  mkdirSync(folder);
  for (const [name, inputs] of Object.entries(needs)) {
    const text = printDerivation({
      outputs: [{ name: 'out', path: `${storeDir}/out-${name}`, hashAlgorithm: '', hash: '' }],
      inputs: inputs.map((input) => ({ path: pathOf(input), outputs: ['out'] })),
      sources: [],
      system: 'x86_64-linux',
      builder: '/bin/sh',
      args: [],
      env: [['name', name]],
    });
    writeFileSync(join(folder, pathOf(name).slice(storeDir.length + 1)), text);
  }
  return folder;
};

const diamond = { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] };

describe('a closure of derivation files', () => {
  it('has each derivation once, needing ones first, one copy of each path', async () => {
    const realStoreDir = storeOf('diamond', diamond);
    const read = await readAll({ storeDir, realStoreDir, roots: [pathOf('a'), pathOf('a')], sliceMs: 0 });
    expect(read.map(({ path }) => derivationNameOf(path))).toEqual(['a', 'b', 'c', 'd']);
    expect(read[0]?.node.inputs.map((input) => input.path)).toEqual([pathOf('b'), pathOf('c')]);
  });

  it('leaves out what is known, and what only known ones need', async () => {
    const realStoreDir = storeOf('known', { ...diamond, c: [] });
    const isKnown = (path: DrvPath): boolean => path === pathOf('b');
    const known = async (): Promise<ReadonlySet<DrvPath>> => new Set([pathOf('b')]);
    for (const question of [{ isKnown }, { known }]) {
      const read = await readAll({ storeDir, realStoreDir, roots: [pathOf('a')], ...question });
      expect(read.map(({ path }) => derivationNameOf(path))).toEqual(['a', 'c']);
    }
  });

  it('names a file that cannot be read and who needs it', async () => {
    const realStoreDir = storeOf('broken', diamond);
    const file = join(realStoreDir, pathOf('d').slice(storeDir.length + 1));
    const request = { storeDir, realStoreDir, roots: [pathOf('a')] };
    const blame = { path: pathOf('d'), neededBy: pathOf('b') };
    truncateSync(file, 40);
    await expect(readAll(request)).rejects.toMatchObject({
      ...blame,
      code: 'DRV_FILE_BROKEN',
      cause: { code: 'DRV_CUT_SHORT' },
    });
    truncateSync(file, 33 * 1024 * 1024);
    await expect(readAll(request)).rejects.toMatchObject({
      ...blame,
      code: 'DRV_FILE_BROKEN',
      message: expect.stringMatching(/larger than 32 MiB/) as string,
    });
    unlinkSync(file);
    await expect(readAll(request)).rejects.toMatchObject({ ...blame, code: 'DRV_FILE_MISSING' });
    await expect(readAll(request)).rejects.toThrow(/-d\.drv \(an input of .*-b\.drv\): is not in the store/);
    symlinkSync('/dev/zero', file);
    await expect(readAll(request)).rejects.toMatchObject({ ...blame, code: 'DRV_FILE_UNREADABLE' });
    unlinkSync(file);
    mkdirSync(file);
    await expect(readAll(request)).rejects.toMatchObject({ ...blame, code: 'DRV_FILE_UNREADABLE' });
  });

  it('is never followed out of the store', async () => {
    const realStoreDir = storeOf('foreign', { a: [] });
    const file = join(realStoreDir, pathOf('a').slice(storeDir.length + 1));
    const outside = `/nix/store/../../etc/${pathOf('b').slice(storeDir.length + 1)}`;
    writeFileSync(file, readFileSync(file, 'latin1').replace('],[],[],', `],[("${outside}",["out"])],[],`));
    await expect(readAll({ storeDir, realStoreDir, roots: [pathOf('a')] })).rejects.toMatchObject({
      code: 'DRV_FILE_FOREIGN',
      path: outside,
      neededBy: pathOf('a'),
    });
  });

  it('is read whole when files are larger than the buffer', () => {
    const file = join(top, 'large');
    for (const size of [0, 1, 63, 64, 65, 128, 1000]) {
      writeFileSync(file, 'é'.repeat(size));
      expect(createFileReader(64)(file)).toBe(Buffer.from('é'.repeat(size)).toString('latin1'));
    }
  });
});

/**
 * What is still reachable: full collections first, since garbage that nobody collected yet would count too. What lies
 * outside of the heap is let go of after the collection that found it.
 */
const liveBytes = async (): Promise<number> => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (const _ of [1, 2]) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe('what the graph keeps', () => {
  it('does not keep the files it was read from', async () => {
    const padding = 'x'.repeat(1_000_000);
    const fileOf = (index: number): string =>
      `Derive([("out","${storeDir}/${index}-an-output-path","","")],[("${pathOf('d')}",["a-long-output-name"])],[],` +
      `"aarch64-linux-and-more","",[],[("x","${padding}"),("requiredSystemFeatures","a-long-feature-name kvm")])`;
    const measure = async (): Promise<number> => {
      const before = await liveBytes();
      const nodes = Array.from({ length: 60 }, (_, index) =>
        toDrvNode(pathOf('a'), parseDerivation(Buffer.from(fileOf(index)).toString('latin1'))),
      );
      const kept = (await liveBytes()) - before;
      expect(nodes[7]?.requiredFeatures).toEqual(['a-long-feature-name', 'kvm']);
      return kept;
    };
    // What else lives in this process may grow meanwhile; what is kept would be there each time.
    const kept = Math.min(await measure(), await measure(), await measure());
    expect(kept).toBeLessThan(10_000_000);
  });
});

const nix = await findNix(process.env).catch(() => null);

const realExpression = `
  let plain = derivation { name = "plain"; system = "x86_64-linux"; builder = "/bin/sh"; };
  in derivation {
    name = "text-1.2"; system = "x86_64-linux"; builder = "/bin/sh"; pname = "tëxt"; version = "1.2";
    args = [ "-c" "echo \\"a\\\\b\\"\\n\\t\\r" ]; outputs = [ "out" "dev" ];
    preferLocalBuild = true; allowSubstitutes = false; requiredSystemFeatures = [ "big-parallel" "kvm" ];
    fixed = derivation { name = "fixed"; system = "builtin"; builder = "builtin:fetchurl"; outputHashAlgo = "sha256";
      outputHash = "0000000000000000000000000000000000000000000000000000"; };
    structured = derivation { name = "structured"; system = "i686-linux"; builder = "/bin/sh"; __structuredAttrs = true;
      requiredSystemFeatures = [ "kvm" ]; preferLocalBuild = true; pname = "strüctured"; version = "7"; inherit plain; };
  }`;

describe.skipIf(nix === null)('derivations that Nix wrote (skipped where it is not installed)', () => {
  it('are read with all that the scheduler has to know, and print the same bytes', async () => {
    if (nix === null) return;
    const [store, state] = [join(top, 'nix', 'store'), join(top, 'nix', 'var')];
    mkdirSync(join(top, 'nix', 'conf'), { recursive: true });
    writeFileSync(
      join(top, 'nix', 'conf', 'nix.conf'),
      'sandbox = false\nbuild-users-group =\nsubstituters =\n',
    );
    const env = {
      ...nix.env,
      NIX_STORE_DIR: store,
      NIX_STATE_DIR: state,
      NIX_CONF_DIR: join(top, 'nix', 'conf'),
    };
    const made = await runChild({
      command: nix.programs.instantiate,
      args: ['-'],
      env,
      stdin: realExpression,
    });
    expect(made).toMatchObject({ code: 0 });
    const root = parseDrvPath(made.stdout.trim(), store);

    const read = await readAll({ storeDir: store, roots: [root] });
    const byName = new Map(read.map((one) => [derivationNameOf(one.path), one]));
    expect([...byName.keys()].toSorted()).toEqual(['fixed', 'plain', 'structured', 'text-1.2']);
    for (const { path, derivation } of read) {
      expect(printDerivation(derivation)).toBe(readFileSync(path, 'latin1'));
    }
    expect(readdirSync(store).filter((name) => name.endsWith('.drv'))).toHaveLength(4);

    const text = byName.get('text-1.2');
    if (text === undefined) throw new Error('not read');
    expect(text.node).toMatchObject({
      system: 'x86_64-linux',
      fixedOutput: false,
      preferLocalBuild: true,
      allowSubstitutes: false,
      requiredFeatures: ['big-parallel', 'kvm'],
    });
    expect(text.node.outputs.map((output) => output.name)).toEqual(['dev', 'out']);
    expect(text.derivation.args).toEqual(['-c', 'echo "a\\b"\n\t\r']);
    expect(factsOf(text.derivation)).toMatchObject({ pname: 'tëxt', version: '1.2' });
    expect(envText(text.derivation, 'pname')).toBe('tëxt');

    const structured = byName.get('structured');
    if (structured === undefined) throw new Error('not read');
    expect(structured.node).toMatchObject({
      system: 'i686-linux',
      preferLocalBuild: true,
      allowSubstitutes: true,
      requiredFeatures: ['kvm'],
    });
    expect(factsOf(structured.derivation)).toMatchObject({ pname: 'strüctured', version: '7' });
    expect(structuredAttrsOf(structured.derivation)).toMatchObject({ name: 'structured' });
    expect(byName.get('fixed')?.node).toMatchObject({ system: 'builtin', fixedOutput: true });
  });
});
