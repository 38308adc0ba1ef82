// The bytes that a trusted configuration leads to: what is in each of its caches, and with what it came there.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { findProgram } from '@eka-ci/process';
import { expect } from 'vitest';
import { findCanaries } from './secret-search.ts';
import type { Held, PlacedCache } from './trusted-place.ts';
import { type Places, signaturesThere } from './trusted-places.ts';

export interface Whole {
  readonly drv: string;
  readonly path: string;
  readonly library: string;
}

/** By the names of what they are of. */
export const narinfosIn = (held: Held): Map<string, string> =>
  new Map(
    [...held]
      .filter(([name]) => name.endsWith('.narinfo'))
      .map(([, bytes]) => {
        const text = bytes.toString();
        return [/^StorePath: \S+\/[^-/\s]+-(\S+)$/m.exec(text)?.[1] ?? '', text] as const;
      }),
  );

/** Both packages, whole, and signed where there is a key. */
const expectHeld = ({ id, signedBy }: PlacedCache, held: Held): void => {
  const narinfos = narinfosIn(held);
  expect([id, ...[...narinfos.keys()].toSorted()]).toEqual([id, 'library', 'tool']);
  for (const text of narinfos.values()) {
    if (signedBy !== null) expect(text).toContain(`\nSig: ${signedBy}:`);
    const nar = held.get(/^URL: (\S+)$/m.exec(text)?.[1] ?? '');
    expect(String(nar?.length)).toBe(/^FileSize: (\d+)$/m.exec(text)?.[1]);
  }
};

/** The same in the store of another machine. */
export const expectMachine = async ({ machine, caches }: Places, { path, library }: Whole): Promise<void> => {
  if (machine === null) return;
  expect(await readFile(join(machine.storeDir, basename(path)), 'utf8')).toBe(`${library}\n`);
  const signedBy = caches.find(({ id }) => id === 'machine')?.signedBy ?? 'nobody';
  const nix = findProgram('nix') ?? 'nix';
  expect(await signaturesThere(machine, { nix, path })).toContain(`\t${signedBy}:`);
};

/** What was pushed by programs of their own, and with what. */
export const expectHosted = async (
  { cachix, attic, hosted, secrets }: Places,
  { path }: Whole,
): Promise<void> => {
  const narinfo = `${basename(path).slice(0, 32)}.narinfo`;
  for (const place of ['/', '/ours/']) {
    expect(hosted.files.get(`${place}${narinfo}`)?.toString()).toBe(`StorePath: ${path}\n`);
  }
  const said = (part: unknown): string[] => [
    ...new Set(findCanaries(secrets.canaries, JSON.stringify(part ?? null))),
  ];
  for (const { args, stdin, env } of await cachix.calls()) {
    expect([args, stdin]).toEqual([['push', 'our-cache'], `${path}\n`]);
    expect(said(env)).toEqual(['token of cachix']);
  }
  for (const { args, stdin, env, config } of await attic.calls()) {
    expect(args).toEqual(['push', 'eka-ci:ours', path]);
    expect(said([stdin, env])).toEqual([]);
    expect(said(config)).toEqual(['token of attic']);
    expect(config?.mode).toBe('600');
  }
};

/** What all caches but those of programs hold. */
export const expectPushed = async ({ caches }: Places): Promise<Whole> => {
  for (const cache of caches) if (cache.held !== null) expectHeld(cache, await cache.held());
  const plain = narinfosIn((await caches.find(({ id }) => id === 'plain')?.held?.()) ?? new Map());
  const pathOf = (name: string) => /^StorePath: (\S+)$/m.exec(plain.get(name) ?? '')?.[1] ?? '';
  const drv = /^Deriver: (\S+)$/m.exec(plain.get('tool') ?? '')?.[1] ?? '';
  return { drv, path: pathOf('tool'), library: pathOf('library') };
};
