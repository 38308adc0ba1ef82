import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createPrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterEach, describe, expect, it } from 'vitest';
import { describeBuilder } from '../builder.contract.ts';
import { canBuild, whatIsMissing } from '../builder.ts';
import { createNixStoreBuilder } from './nix-store-builder.ts';

describeBuilder('nix-store on a store of our own', async () => {
  const store = await createPrivateStore();
  return { store, builder: await createNixStoreBuilder(store.nix) };
});

describeBuilder('nix-store through a daemon', async () => {
  const store = await createPrivateStore({ daemon: true });
  return { store, builder: await createNixStoreBuilder(store.nix), outlivesBuilders: false };
});

describe('the nix-store builder beside a Nix that misbehaves', () => {
  const leftOvers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const remove of leftOvers.splice(0)) await remove();
  });

  /** A `nix-store` that runs a script in place of building. */
  const buildWith = async (script: string, bounds = {}) => {
    const store = await createPrivateStore();
    leftOvers.push(store.remove);
    const { ok } = await store.instantiate('{ ok = shell "ok" "echo > $out" {}; }');
    const program = join(store.folder, 'nix-store');
    const start = `@nix {"action":"start","id":1,"type":105,"level":3,"text":"","fields":["${ok}","",1,1]}`;
    await writeFile(program, `#!/bin/sh\nstart='${start}'\n${script}\n`);
    await chmod(program, 0o700);
    const nix = { ...store.nix, programs: { ...store.nix.programs, store: program } };
    const builder = await createNixStoreBuilder(nix, { graceMs: 0 });
    const request = {
      drvPath: ok!,
      outputs: [],
      silenceTimeoutMs: 60_000,
      maxDurationMs: 60_000,
      maxLogBytes: 1e6,
      ...bounds,
    };
    return builder.build(request, { log() {}, phase() {} }, new AbortController().signal);
  };

  it('keeps the bounds that Nix does not keep', async () => {
    const said = 'echo "$start" >&2; ';
    expect(await buildWith(`${said} sleep 60`, { silenceTimeoutMs: 300 })).toMatchObject({
      cause: 'timeout',
    });
    expect(await buildWith('sleep 60', { maxDurationMs: 300 })).toMatchObject({ cause: 'max-duration' });
    const line = '@nix {"action":"result","id":1,"type":101,"fields":["a line of a log that never ends"]}';
    const flood = `${said} yes '${line}' >&2`;
    expect(await buildWith(flood, { maxLogBytes: 1000 })).toMatchObject({ cause: 'log-limit' });
  });

  it('says that Nix died, not that the package is broken', async () => {
    expect(await buildWith('echo "$start" >&2; kill -9 $$')).toMatchObject({
      kind: 'failed',
      cause: 'process-death',
    });
    expect(await buildWith('echo oops >&2; exit 1')).toMatchObject({
      cause: 'process-death',
      message: expect.stringMatching(/oops/) as string,
    });
    expect(await buildWith('echo "@nix {" >&2; exit 0')).toMatchObject({ kind: 'already-valid' });
  });

  it('says so when there is no nix-store', async () => {
    const store = await createPrivateStore();
    leftOvers.push(store.remove);
    const { ok } = await store.instantiate('{ ok = shell "ok" "echo > $out" {}; }');
    const nix = { ...store.nix, programs: { ...store.nix.programs, store: '/no/such/nix-store' } };
    const builder = await createNixStoreBuilder(nix);
    const request = {
      drvPath: ok!,
      outputs: [],
      silenceTimeoutMs: 1000,
      maxDurationMs: 1000,
      maxLogBytes: 1000,
    };
    const result = await builder.build(request, { log() {}, phase() {} }, new AbortController().signal);
    expect(result).toMatchObject({ kind: 'failed', cause: 'process-death' });
    expect(builder.features).toContain('big-parallel');
  });
});

describe('what a builder offers', () => {
  const builder = { name: 'local', systems: ['x86_64-linux', 'builtin'], features: ['kvm'] };

  it('says in words what is missing', () => {
    expect(canBuild(builder, { system: 'x86_64-linux', requiredFeatures: ['kvm'] })).toBe(true);
    expect(whatIsMissing(builder, { system: 'aarch64-linux', requiredFeatures: [] })).toBe(
      'no builder for the system aarch64-linux (local has x86_64-linux, builtin)',
    );
    expect(whatIsMissing(builder, { system: 'builtin', requiredFeatures: ['kvm', 'big', 'huge'] })).toBe(
      'no builder with the features big, huge (local has kvm)',
    );
  });
});
