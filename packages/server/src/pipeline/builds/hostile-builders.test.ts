// Builders that print whatever they like: each comes to its own end, and its log stays within its bound and can be read.
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openNixDaemon } from '../../builder/nix-daemon/open-daemon.ts';
import { buildOnNix, type NixBuilds } from '../testing/builds-on-nix.ts';

const KiB = 1024;
const maxLogBytes = 64 * KiB;

const derivations = `{
  loud = shell "loud" "echo first; yes 'a line of a log' | head -c 2097152; echo last; echo > $out" {};
  long = shell "long" "echo first; head -c 4194304 /dev/zero | tr '\\\\0' x; echo; echo last; echo > $out" {};
  mute = shell "mute" "echo > $out" {};
  binary = shell "binary" "printf 'caf\\\\351 \\\\377\\\\376\\\\000 end\\\\n'; head -c 20000 /dev/urandom; echo; echo last; exit 1" {};
  bomb = shell "bomb" "for i in $(seq 200); do printf '\\\\033[2J\\\\033]0;title\\\\007\\\\033[999;999H\\\\033[31mred\\\\033P\\\\n'; done; exit 1" {};
}`;

let store: PrivateStore;
let built: NixBuilds;
beforeAll(async () => {
  store = await createPrivateStore();
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  built = await buildOnNix({ store, builder: daemon.builder, expression: derivations, maxLogBytes });
  await daemon.close();
}, 60_000);
afterAll(() => store.remove());

const stateOf = (name: string): string => {
  const outcome = built.outcomes.get(name);
  return `${outcome?.state} ${outcome?.cause}`;
};
const logOf = (name: string): string => built.logs.get(name) ?? '';

it.each(['loud', 'long'])('keeps head and tail of one that is too %s, with the gap named', (name) => {
  expect(stateOf(name)).toBe('succeeded built');
  const log = logOf(name);
  expect(log).toMatch(/^first\n/);
  expect(log).toMatch(/\nlast\n$/);
  expect(log).toMatch(/\d+ bytes/);
  expect(Buffer.byteLength(log)).toBeLessThanOrEqual(maxLogBytes);
});

it('has an empty log of one that says nothing', () => {
  expect([stateOf('mute'), logOf('mute')]).toEqual(['succeeded built', '']);
});

it.each(['binary', 'bomb'])('fails a %s for its own reason, with lines that a terminal survives', (name) => {
  expect(stateOf(name)).toBe('failed builder-exit');
  const outcome = built.outcomes.get(name);
  const { lastLines = [], message } = outcome ?? {};
  expect(message).toMatch(/exit code 1/);
  expect(lastLines.length).toBeGreaterThan(0);
  expect(JSON.stringify(outcome)).toBe(JSON.stringify(outcome).toWellFormed());
  expect(Buffer.byteLength(logOf(name))).toBeLessThanOrEqual(maxLogBytes);
});

it('ends one that prints more than it may', { timeout: 60_000 }, async () => {
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  const { outcomes, logs } = await buildOnNix({
    ...{ store, builder: daemon.builder, maxLogBytes },
    expression: `{ endless = shell "endless" "yes 'a line of a log'" {}; }`,
    limits: { maxLogBytes: 512 * KiB },
  });
  await daemon.close();
  expect(outcomes.get('endless')).toMatchObject({ state: 'interrupted', cause: 'log-limit' });
  expect(Buffer.byteLength(logs.get('endless') ?? '')).toBeLessThanOrEqual(maxLogBytes);
});
