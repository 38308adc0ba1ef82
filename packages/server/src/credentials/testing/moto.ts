// moto, a stand-in for AWS that many test against, where EKA_CI_TEST_MOTO names its program (`moto_server`, 5.x).
// https://docs.getmoto.org/en/latest/docs/server_mode.html
import { serveProgram } from '@eka-ci/process/testing/program-server';
import { freePort } from '../../lib/testing/free-port.ts';

const program = process.env['EKA_CI_TEST_MOTO'];

export const whyNoMoto = (): string | null =>
  program === undefined ? 'EKA_CI_TEST_MOTO names no program' : null;

export interface Moto {
  /** An AWS_ENDPOINT_URL. */
  readonly url: string;
  stop(): Promise<void>;
}

export const startMoto = async (): Promise<Moto> => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { stop } = await serveProgram({
    command: program ?? 'moto_server',
    args: () => ['--host', '127.0.0.1', '--port', String(port)],
    isReady: async () => (await fetch(`${url}/moto-api/`)).ok,
  });
  return { url, stop };
};
