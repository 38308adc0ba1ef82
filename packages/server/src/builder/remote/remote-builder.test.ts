import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { unixSocketTransport } from '@eka-ci/nix/daemon/transport/unix-socket';
import {
  createPrivateStore,
  type PrivateStore,
  type PrivateStoreOptions,
} from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { describe, expect, it } from 'vitest';
import { type BuilderSubject, describeBuilder } from '../builder.contract.ts';
import { createRemoteBuilder } from './remote-builder.ts';
import { askMachine, buildOn, farMachine, openLocal } from './testing/remote-builds.ts';
import { createSecondMachine, whyNoSecondMachine } from './testing/second-machine.ts';

const whyNot = await whyNoSecondMachine();
const because = whyNot === null ? '' : ` (skipped: ${whyNot})`;

const subjectOn = async (options: PrivateStoreOptions = {}): Promise<BuilderSubject> => {
  const store = await createPrivateStore(options);
  const daemon = await openLocal(store);
  const { transport } = await createSecondMachine(store);
  const builder = createRemoteBuilder({ machine: farMachine, transport, local: daemon.store });
  const remove = async (): Promise<void> => {
    await builder.close();
    await daemon.close();
    await store.remove();
  };
  return { store: { ...store, remove }, builder, outlivesBuilders: false };
};

describe.skipIf(whyNot !== null)(`another machine${because}`, () => {
  describeBuilder('of a second store', () => subjectOn());
});

describe.skipIf(whyNot !== null)(`a machine where nobody trusts${because}`, () => {
  const keys = async (store: PrivateStore): Promise<{ secret: string; known: string }> => {
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-keys-'));
    const [secret, known] = [join(folder, 'secret'), join(folder, 'public')];
    const args = ['--generate-binary-cache-key', 'far-1', secret, known];
    await runChild({ command: store.nix.programs.store, args, env: store.nix.env });
    return { secret, known };
  };

  it('is told from one that does', async () => {
    const store = await createPrivateStore({ daemon: true, config: 'trusted-users = nobody' });
    const daemon = await openLocal(store);
    try {
      const builder = createRemoteBuilder({
        machine: farMachine,
        transport: unixSocketTransport(store.nix.daemonSocket),
        local: daemon.store,
      });
      expect(await askMachine(builder)).toMatch(/does not trust this user.*trusted-users/);
      await builder.close();
    } finally {
      await daemon.close();
      await store.remove();
    }
  });

  it('gives this server only what is signed, where its own daemon does not trust it', async () => {
    const made = await createPrivateStore();
    const { secret, known } = await keys(made);
    await made.remove();
    const key = (await readFile(known, 'utf8')).trim();
    const config = `trusted-users = nobody\ntrusted-public-keys = ${key}`;
    const store = await createPrivateStore({ daemon: true, config });
    const daemon = await openLocal(store);
    try {
      const drv = async (): Promise<DrvPath> => {
        const name = `it-${randomBytes(4).toString('hex')}`;
        return (await store.instantiate(`{ it = shell "${name}" "echo > $out" {}; }`))['it']!;
      };
      const build = async (folderName: string, more: string) => {
        const { transport } = await createSecondMachine(store, { folderName, config: more });
        const builder = createRemoteBuilder({ machine: farMachine, transport, local: daemon.store });
        try {
          return await buildOn(builder, await drv());
        } finally {
          await builder.close();
        }
      };
      expect(await build('unsigned', '')).toMatchObject({
        kind: 'failed',
        cause: 'lost-builder',
        message: expect.stringMatching(/not copied back.*trusted-users.*secret-key-files/s) as string,
      });
      expect(await build('signed', `secret-key-files = ${secret}`)).toMatchObject({ kind: 'built' });
    } finally {
      await daemon.close();
      await store.remove();
      await rm(join(secret, '..'), { recursive: true });
    }
  });
});
