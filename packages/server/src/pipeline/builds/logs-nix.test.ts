// Logs of builds of real Nix: what may not be shown, and what was built by others.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Builder } from '../../builder/builder.ts';
import { createNixStoreBuilder } from '../../builder/nix-store/nix-store-builder.ts';
import { createSecretMask } from '../../lib/secret-mask.ts';
import { createLiveFeed } from '../live/live-feed.ts';
import type { BuildEvent } from './build-outcome.ts';
import { logFileOf, runAttempt } from './run-attempt.ts';
import { createStoreLogs, logOfStore, type StoreLogs } from './store-logs.ts';

const canary = 'canary-0123456789-of-the-server';

const packages = `{
  leaky = shell "leaky" ''
    printf 'first ${canary.slice(0, 12)}'; sleep 0.1; printf '${canary.slice(12)} last\\n'
    echo ${canary}${canary} >&2
    exit 1
  '' {};
  elsewhere = shell "elsewhere" "echo built by others; echo ${canary}; echo > $out" {};
  unbuilt = shell "unbuilt" "echo > $out" {};
}`;

let store: PrivateStore;
let builder: Builder;
let drvs: Record<string, DrvPath>;
beforeAll(async () => {
  store = await createPrivateStore();
  drvs = await store.instantiate(packages);
  builder = await createNixStoreBuilder(store.nix);
});
afterAll(() => store.remove());

const drvOf = (name: string): DrvPath => {
  const drv = drvs[name];
  if (drv === undefined) throw new Error(`there is no ${name}`);
  return drv;
};
const folder = (): string => join(store.folder, 'logs');
const limits = { silenceTimeoutMs: 20_000, maxDurationMs: 60_000, maxLogBytes: 1_000_000 };
const mask = createSecretMask([canary]);
const build = (drv: DrvPath, logs = {}, onEvent: (event: BuildEvent) => void = () => {}) => {
  const deps = { builder, limits, logs: { folder: folder(), maxBytes: 1_000_000, ...logs }, onEvent };
  const { signal } = new AbortController();
  return runAttempt(deps, { drv, attempt: 1, logFile: logFileOf(drv, 1), signal });
};

describe('a secret that a build prints', () => {
  it('is in no log, in nothing that is told live, and in no message', async () => {
    const drv = drvOf('leaky');
    const feed = createLiveFeed();
    const told: string[] = [];
    const reader = feed.join({
      maySee: () => true,
      maySeeDrv: () => true,
      take: () => {},
      onLines: () => reader.lines.read()?.batch.texts.forEach((text) => told.push(text.toString('utf8'))),
    });
    reader.follow({ resource: 'drv', id: drv });
    const events: BuildEvent[] = [];
    const ended = await build(drv, { mask, feed: feed.logs }, (event) => events.push(event));
    const log = await readFile(join(folder(), logFileOf(drv, 1)), 'utf8');
    expect(log).toMatch(/^first \[redacted\] last\n\[redacted\]\n/);
    expect(told.map((text) => (JSON.parse(text) as { text: string }).text).join('\n')).toBe(log.trimEnd());
    expect(ended.result.kind).toBe('failed');
    expect(JSON.stringify([ended, told, events])).not.toContain(canary);
    expect(JSON.stringify(ended.lastLines)).toContain('[redacted]');
  });
});

it('is in no message of a builder that quotes what the build said', async () => {
  const quoting: Builder = {
    ...builder,
    build: (_request, observer) => {
      observer.phase(`phase ${canary}`);
      observer.log(Buffer.from(`in bytes ${canary}`));
      throw new Error(`it said ${canary}`);
    },
  };
  const events: BuildEvent[] = [];
  const drv = drvOf('unbuilt');
  const ended = await runAttempt(
    {
      builder: quoting,
      limits,
      logs: { folder: folder(), maxBytes: 1_000_000, mask },
      onEvent: (event) => events.push(event),
    },
    { drv, attempt: 1, logFile: logFileOf(drv, 1), signal: new AbortController().signal },
  );
  expect(ended.result).toMatchObject({ message: 'the builder broke: it said [redacted]' });
  expect(ended.lastLines).toEqual(['in bytes [redacted]']);
  expect(JSON.stringify([ended, events])).not.toContain(canary);
});

describe('the log of what was built by others', () => {
  const createAsked = (more = {}): StoreLogs =>
    createStoreLogs({
      nix: store.nix,
      logs: { folder: folder(), maxBytes: 100_000, mask, ...more },
      signal: new AbortController().signal,
    });
  const fileOf = (drv: DrvPath): string => join(folder(), logFileOf(drv, logOfStore));

  it('is what the store has, without what may not be shown, asked for once at a time', async () => {
    const drv = drvOf('elsewhere');
    const result = await builder.build(
      { drvPath: drv, outputs: [], ...limits },
      { log: () => {}, phase: () => {} },
      new AbortController().signal,
    );
    expect(result.kind).toBe('built');
    const ended: string[] = [];
    const compression = { writing: (file: string) => () => void ended.push(file) };
    const logs = createAsked({ compression });
    expect(await Promise.all([logs.fetch(drv), logs.fetch(drv)])).toEqual([true, true]);
    expect(await readFile(fileOf(drv), 'utf8')).toBe('built by others\n[redacted]\n');
    expect(ended).toEqual([logFileOf(drv, logOfStore)]);
  });

  it('is none where nobody built it, and nothing is left of the question', async () => {
    const drv = drvOf('unbuilt');
    const logs = createAsked();
    expect(await logs.fetch(drv)).toBe(false);
    expect(await logs.fetch(drv)).toBe(false);
    const left = await readdir(dirname(fileOf(drv))).catch(() => []);
    expect(left.filter((name) => name.endsWith('unbuilt.0.log') || name.endsWith('.part'))).toEqual([]);
  });

  it('is given up where the store does not answer in time', async () => {
    const drv = drvOf('unbuilt');
    const program = join(store.folder, 'slow-store');
    await writeFile(program, '#!/bin/sh\necho begun\nexec /bin/sleep 60\n', { mode: 0o700 });
    const slow = { ...store.nix, programs: { ...store.nix.programs, store: program } };
    const logs = createStoreLogs({
      nix: slow,
      logs: { folder: folder(), maxBytes: 100_000 },
      signal: AbortSignal.timeout(60_000),
      timeoutMs: 200,
    });
    expect(await logs.fetch(drv)).toBe(false);
  });
});
