// MinIO, an object store that many run and that speaks S3, where EKA_CI_TEST_MINIO names its program.
// https://github.com/minio/minio
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { serveProgram } from '@eka-ci/process/testing/program-server';
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
  const [endpoint, console] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const { folder, stop } = await serveProgram({
    command: program ?? 'minio',
    args: (home) => ['server', '--address', endpoint, '--console-address', console, join(home, 'data')],
    env: {
      MINIO_ROOT_USER: account.accessKeyId,
      MINIO_ROOT_PASSWORD: account.secretAccessKey,
      MINIO_UPDATE: 'off',
    },
    isReady: async () => (await fetch(`http://${endpoint}/minio/health/live`)).ok,
  });
  // A folder there is a bucket.
  await mkdir(join(folder, 'data', bucket), { recursive: true });
  return { endpoint, stop };
};
