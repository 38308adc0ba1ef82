import { runChild } from '@eka-ci/process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareVersions, splitDrvName } from './drv-name.ts';
import { findNix, type NixInstallation } from './installation.ts';
import { findRealDerivations, readRealJobs } from './testing/real-derivations.ts';

const awkwardNames = [
  'hello', 'hello-1.0', 'hello-', 'hello--', '-', '', '-1', 'a-b-c', 'a-2b-3', 'a-b2-3', 'font-awesome-4.7.0', 'a-.5',
  'a-_b', 'a-=1', 'x-1-2-3', 'python3.13-numpy-2.1', 'xf86-video-intel-2.99', 'perl-5.40', 'libX-unstable-2024-01-01',
]; // biome-ignore format: a list of words
const awkwardVersions = [
  '', '1', '1.0', '1-0', '1.0.0', '01', '1.', '.1', '2.3', '2.3a', '2.3.1', '2.3pre1', '2.3.pre', '2.3-rc1', 'pre', 'prex', 'a',
  'b', 'ab', '1a1', '1.0a', '1.0-alpha', '20250804', '2147483647', '2147483648', '99999999999', '202508041230', '1.2.3-pre4+g12',
  '2024-01-01', 'unstable-2024-01-01', '1_2', '1..2', '1--2', '+', '1+', '1.0rc', '1.0.rc',
]; // biome-ignore format: a list of words

const findNixOrNull = async (): Promise<NixInstallation | null> => findNix(process.env).catch(() => null);
const nix = await findNixOrNull();
const real = findRealDerivations();

/** Asks Nix everything in one process; the lists go in as JSON on its standard input. */
const askNix = async (
  { programs, env }: NixInstallation,
  asked: { names: readonly string[]; pairs: readonly (readonly [string, string])[] },
): Promise<{ names: { name: string; version: string }[]; orders: number[] }> => {
  const expression = `let asked = builtins.fromJSON ${JSON.stringify(JSON.stringify(asked)).replaceAll('${', '\\${')}; in {
    names = map (name: let read = builtins.parseDrvName name; in { inherit (read) name version; }) asked.names;
    orders = map (pair: builtins.compareVersions (builtins.elemAt pair 0) (builtins.elemAt pair 1)) asked.pairs;
  }`;
  const args = ['--eval', '--strict', '--json', '-'];
  const answer = await runChild({ command: programs.instantiate, args, env, stdin: expression });
  if (answer.code !== 0) throw new Error(answer.stderr);
  return JSON.parse(answer.stdout) as { names: { name: string; version: string }[]; orders: number[] };
};

describe.skipIf(nix === null)(
  'names and versions, against Nix itself (skipped where it is not installed)',
  () => {
    it('are split and ordered as it does, for real ones and awkward ones', async () => {
      if (nix === null) return;
      const jobs = real === null ? [] : await readRealJobs(real);
      const names = [
        ...awkwardNames,
        ...jobs.map((job) => job.drvPath.slice('/nix/store/'.length + 33, -'.drv'.length)),
      ];
      const versions = [...new Set(jobs.map((job) => job.version ?? ''))];
      const pairs = [
        ...awkwardVersions.flatMap((a) => awkwardVersions.map((b) => [a, b] as const)),
        ...versions.map(
          (version, index) => [version, versions[(index * 7 + 1) % versions.length] ?? ''] as const,
        ),
      ];
      const answer = await askNix(nix, { names, pairs });
      const ours = names
        .map(splitDrvName)
        .map(({ pname, version }) => ({ name: pname, version: version ?? '' }));
      expect(ours).toEqual(answer.names);
      const orders = pairs.map(([a, b]) => [a, b, compareVersions(a, b)]);
      expect(orders).toEqual(pairs.map(([a, b], index) => [a, b, answer.orders[index]]));
    });
  },
);

describe('a name', () => {
  it('is put together again from its parts', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-zA-Z+\-._?=]*$/), (name) => {
        const { pname, version } = splitDrvName(name);
        expect(version === null ? pname : `${pname}-${version}`).toBe(name);
        expect(pname).not.toMatch(/-[^a-zA-Z]/);
        if (version !== null) expect(version).toMatch(/^[^a-zA-Z]/);
      }),
    );
  });
});

describe('the order of versions', () => {
  it('turns round with its sides', () => {
    const version = fc.stringMatching(/^[0-9a-c.-]{0,8}(pre)?[0-9]?$/);
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(compareVersions(b, a)).toBe(0 - compareVersions(a, b));
        expect(compareVersions(a, a)).toBe(0);
      }),
    );
  });
});
