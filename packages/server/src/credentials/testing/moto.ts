// moto, a stand-in for AWS that many test against, where EKA_CI_TEST_MOTO names its program (`moto_server`, 5.x).
// https://docs.getmoto.org/en/latest/docs/server_mode.html
import { startChild } from '@eka-ci/process';
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
  const server = await startChild({
    command: program ?? 'moto_server',
    args: ['--host', '127.0.0.1', '--port', String(port)],
    env: {},
  });
  server.stdout.resume();
  server.stderr.resume();
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    server.end('SIGKILL');
    await server.exited;
  };
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${url}/moto-api/`).catch(() => null);
    if (answer?.ok === true) return { url, stop };
    if (tries === 400) {
      await stop();
      throw new Error('moto did not start');
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
