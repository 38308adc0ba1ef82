import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ReadFile } from '../config/config-host.ts';
import type { CredentialSource } from '../config/credential-source.ts';
import { CredentialError } from './credential-error.ts';
import { type CredentialHost, createCredentials } from './credentials.ts';
import { containing, failureOf, testHost } from './testing/load.ts';
import { type AwsRoleKeys, startEc2Double } from './testing/metadata-double.ts';

const file: CredentialSource = { kind: 'file', path: '/keys' };

/** A file that is read when the test lets it. */
const createScene = (more: Partial<CredentialHost> = {}) => {
  let nowMs = 1000;
  let turn = Promise.withResolvers<ReadFile>();
  let reads = 0;
  const told: string[] = [];
  const credentials = createCredentials({
    env: {},
    readFile: () => {
      reads += 1;
      return turn.promise;
    },
    onLoaded: (source, { secrets }) =>
      told.push(`${source.kind}: ${secrets.map((secret) => secret.reveal()).join()}`),
    clock: () => nowMs,
    ...more,
  });
  const ending = new AbortController();
  return {
    credentials,
    told,
    reads: () => reads,
    pass: (ms: number) => {
      nowMs += ms;
    },
    give: (value: string) => {
      turn.resolve({ kind: 'read', text: `A=${value}`, isPublic: false });
      turn = Promise.withResolvers();
    },
    load: async (source = file, signal: AbortSignal = ending.signal) =>
      (await credentials.load(source, signal)).values.get('A')?.reveal(),
  };
};

const settled = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe('what was loaded', () => {
  it('comes from memory for five minutes, and is asked for by one for all', async () => {
    const scene = createScene();
    const all = [scene.load(), scene.load({ ...file }), scene.load({ path: '/keys', kind: 'file' })];
    scene.give('1');
    expect(await Promise.all(all)).toEqual(['1', '1', '1']);
    scene.pass(5 * 60_000 - 1);
    expect(await scene.load()).toBe('1');
    expect(scene.reads()).toBe(1);
    scene.pass(1);
    const next = scene.load();
    scene.give('2');
    expect(await next).toBe('2');
    expect(scene.reads()).toBe(2);
    expect(scene.told).toEqual(['file: 1', 'file: 2']);
  });

  it('is another for each source', async () => {
    const scene = createScene();
    const both = [scene.load(), scene.load({ kind: 'file', path: '/others' })];
    expect(scene.reads()).toBe(2);
    scene.give('1');
    expect(await Promise.all(both)).toEqual(['1', '1']);
  });

  it('is asked for again once it is forgotten, also what was on its way then', async () => {
    const scene = createScene();
    const before = scene.load();
    scene.credentials.forget(file);
    scene.give('old');
    expect(await before).toBe('old');
    const after = scene.load();
    expect(scene.reads()).toBe(2);
    scene.give('new');
    expect(await after).toBe('new');
    scene.credentials.forget(file);
    const last = scene.load();
    scene.give('newest');
    expect(await last).toBe('newest');
  });

  it('is not kept where it failed: the next one asks', async () => {
    const scene = createScene();
    const failing = [scene.load(), scene.load()].map(settled);
    scene.give('"open');
    for (const error of await Promise.all(failing)) expect(error).toBeInstanceOf(CredentialError);
    const next = scene.load();
    scene.give('1');
    expect(await next).toBe('1');
  });

  it('is waited for by each until its own signal ends; who is left is not disturbed', async () => {
    const scene = createScene();
    const impatient = new AbortController();
    const left = settled(scene.load(file, impatient.signal));
    const patient = scene.load();
    impatient.abort(new Error('no time'));
    expect(await left).toMatchObject({ message: 'no time' });
    scene.give('1');
    expect(await patient).toBe('1');
    expect(await settled(scene.load(file, impatient.signal))).toMatchObject({ message: 'no time' });
  });

  it('is asked for anew where nobody waited for it any more', async () => {
    const scene = createScene();
    const ending = new AbortController();
    const left = settled(scene.load(file, ending.signal));
    ending.abort(new Error('no time'));
    await left;
    const next = scene.load();
    expect(scene.reads()).toBe(2);
    scene.give('1');
    expect(await next).toBe('1');
  });

  it('does not come from a source that hangs', async () => {
    const scene = createScene({ timeoutMs: 20 });
    expect(await failureOf(scene.load())).toMatchObject({
      code: 'CREDENTIAL_TIMEOUT',
      message: containing('source file gave nothing within 0.02 s'),
    });
  });

  it('is kept for most of its lease, and tells how long it still holds', async () => {
    const role: AwsRoleKeys = { id: 'A', secret: 'b', token: 'c', endsAtMs: Date.now() + 100_000 };
    const ec2 = await startEc2Double({ role, isOff: false });
    let nowMs = 0;
    const metadata = { ec2: ec2.url, timeoutMs: 4000 };
    const credentials = createCredentials(testHost({}, { metadata, clock: () => nowMs }));
    const source: CredentialSource = { kind: 'instance-metadata' };
    const leaseMs = async () => (await credentials.load(source, new AbortController().signal)).leaseMs ?? 0;
    try {
      const first = await leaseMs();
      expect(first).toBeGreaterThan(95_000);
      nowMs = 70_000;
      expect(await leaseMs()).toBe(first - 70_000);
      const asked = ec2.asked.length;
      nowMs = 81_000;
      expect(await leaseMs()).toBeGreaterThan(90_000);
      expect(ec2.asked.length).toBeGreaterThan(asked);
    } finally {
      await ec2.close();
    }
  });

  it('is no pipe that nobody writes to: it is refused at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-pipe-'));
    try {
      const path = join(folder, 'pipe');
      await promisify(execFile)('mkfifo', [path]);
      const loading = createCredentials(testHost()).load(
        { kind: 'file', path },
        new AbortController().signal,
      );
      expect(await failureOf(loading)).toMatchObject({
        message: containing('is not a plain file'),
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
