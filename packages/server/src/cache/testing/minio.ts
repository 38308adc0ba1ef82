// MinIO, an object store that many run and that speaks S3, where EKA_CI_TEST_MINIO names its program.
// https://github.com/minio/minio
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '@eka-ci/process';
import { freePort } from '../../lib/testing/free-port.ts';
import type { S3Account } from './s3-server.ts';

const program = process.env['EKA_CI_TEST_MINIO'];

export const whyNoMinio = (): string | null =>
  program === undefined ? 'EKA_CI_TEST_MINIO names no program' : null;

export interface Minio {
  /** `host:port`: an endpoint= */
  readonly endpoint: string;
  stop(): Promise<void>;
}

/** With one bucket, in the region us-east-1. */
export const startMinio = async (bucket: string, account: S3Account): Promise<Minio> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-minio-'));
  const data = join(folder, 'data');
  await mkdir(join(data, bucket), { recursive: true });
  const [endpoint, console] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const server = await startChild({
    command: program ?? 'minio',
    args: ['server', '--address', endpoint, '--console-address', console, data],
    env: {
      ...{ HOME: folder, MINIO_ROOT_USER: account.accessKeyId },
      ...{ MINIO_ROOT_PASSWORD: account.secretAccessKey, MINIO_UPDATE: 'off' },
    },
  });
  server.stdout.resume();
  server.stderr.resume();
  const stop = async (): Promise<void> => {
    server.end('SIGKILL');
    await server.exited;
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`http://${endpoint}/minio/health/live`).catch(() => null);
    if (answer?.ok === true) return { endpoint, stop };
    if (tries === 200) {
      await stop();
      throw new Error('MinIO did not start');
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
