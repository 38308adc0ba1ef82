// Attic itself, its server and its client, where EKA_CI_TEST_ATTIC names the folder of their programs.
// https://docs.attic.rs
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { serveProgram } from '@eka-ci/process/testing/program-server';
import { freePort } from '../../lib/testing/free-port.ts';

const bin = process.env['EKA_CI_TEST_ATTIC'];

export const hasAttic = bin !== undefined;

export interface RealAttic {
  /** To be put before PATH. */
  readonly bin: string;
  /** With a slash at its end. */
  readonly url: string;
  /** That may read and write these caches: names, or patterns with `*`. */
  makeToken(caches: string): Promise<string>;
  /** One that only tokens may read. @param upstream names of keys whose paths it leaves out */
  makeCache(
    name: string,
    store: { readonly storeDir: string; readonly upstream: readonly string[] },
  ): Promise<void>;
  stop(): Promise<void>;
}

const settingsText = (folder: string, port: number): string =>
  [
    `listen = "127.0.0.1:${port}"`,
    ...['[database]', `url = "sqlite://${folder}/db?mode=rwc"`],
    ...['[storage]', 'type = "local"', `path = "${folder}/storage"`],
    ...[
      '[chunking]',
      'nar-size-threshold = 65536',
      'min-size = 16384',
      'avg-size = 65536',
      'max-size = 262144',
    ],
    ...['[compression]', 'type = "zstd"', '[garbage-collection]', 'interval = "0 s"'],
    ...['[jwt.signing]', `token-hs256-secret-base64 = "${randomBytes(64).toString('base64')}"`],
    '',
  ].join('\n');

export const startRealAttic = async (): Promise<RealAttic> => {
  const programs = bin ?? '';
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const { folder, stop } = await serveProgram({
    command: join(programs, 'atticd'),
    args: (home) => ['--config', join(home, 'settings')],
    prepare: async (home) => {
      await mkdir(join(home, 'storage'));
      await writeFile(join(home, 'settings'), settingsText(home, port));
    },
    isReady: async () => (await fetch(url)).ok,
  });
  const token = async (...rights: readonly string[]): Promise<string> => {
    const args = [
      '--config',
      join(folder, 'settings'),
      'make-token',
      '--sub',
      'test',
      '--validity',
      '1 day',
      ...rights,
    ];
    const made = await runChild({ command: join(programs, 'atticadm'), args, env: {} });
    if (made.code !== 0) throw new Error(made.stderr);
    return made.stdout.trim();
  };
  return {
    bin: programs,
    url,
    stop,
    makeToken: (caches) => token('--pull', caches, '--push', caches),
    async makeCache(name, { storeDir, upstream }) {
      const made = await fetch(`${url}_api/v1/cache-config/${name}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await token('--create-cache', name)}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({
          ...{ keypair: 'Generate', is_public: false, store_dir: storeDir },
          ...{ priority: 41, upstream_cache_key_names: upstream },
        }),
      });
      if (!made.ok) throw new Error(`${made.status}: ${await made.text()}`);
    },
  };
};
