// A real nginx on the loopback for tests and benchmarks, that takes uploads: what many run as their binary cache.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, startChild } from '@eka-ci/process';
import { freePort } from '../../lib/testing/free-port.ts';

export interface Nginx {
  /** With a slash at its end. */
  readonly url: string;
  /** Where the files are on this disk. */
  readonly root: string;
  /** `METHOD URI STATUS`, a line for each request that was answered; one is added to those of an earlier start. */
  readonly requests: string;
  stop(): Promise<void>;
  /** As a power failure ends it. */
  kill(): Promise<void>;
}

export interface NginxSettings {
  /** What it asks for. @default nothing */
  readonly login?: { readonly user: string; readonly password: string };
  /** @default a free one */
  readonly port?: number;
}

const findNginx = (): string | null =>
  findProgram('nginx', `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`);

/** Why none can be started here; null where one can. */
export const whyNoNginx = (): string | null => (findNginx() === null ? 'nginx is not installed' : null);

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

const configOf = (folder: string, port: number, hasLogin: boolean): string =>
  [
    // As root its workers would be somebody else, who may not look into the folder of a test.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'worker_processes 1; daemon off;',
    `pid ${folder}/pid; error_log ${folder}/errors;`,
    'events { worker_connections 256; }',
    'http {',
    `log_format request '$request_method $uri $status'; access_log ${folder}/requests request;`,
    ...temporary.map((name) => `${name}_temp_path ${folder}/temporary-${name};`),
    `server { listen 127.0.0.1:${port}; root ${folder}/files; location / {`,
    ...(hasLogin ? [`auth_basic cache; auth_basic_user_file ${folder}/users;`] : []),
    'dav_methods PUT; create_full_put_path on; client_max_body_size 0;',
    '} } }',
  ].join('\n');

/** @param folder is made, or has what an earlier one took */
export const startNginx = async (folder: string, { login, port: told }: NginxSettings): Promise<Nginx> => {
  const root = join(folder, 'files');
  await mkdir(root, { recursive: true });
  if (login !== undefined) {
    await writeFile(join(folder, 'users'), `${login.user}:{PLAIN}${login.password}\n`);
  }
  const port = told ?? (await freePort());
  const config = join(folder, 'config');
  await writeFile(config, configOf(folder, port, login !== undefined));
  const server = await startChild({
    command: findNginx() ?? 'nginx',
    args: ['-e', join(folder, 'errors'), '-p', folder, '-c', config],
    env: {},
  });
  server.stdout.resume();
  server.stderr.resume();
  const url = `http://127.0.0.1:${port}/`;
  for (let tries = 0; ; tries++) {
    const answers = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answers) break;
    if (tries === 200) {
      server.end();
      throw new Error('the nginx of the test does not answer');
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    server.end(signal);
    await server.exited;
  };
  return {
    url,
    root,
    requests: join(folder, 'requests'),
    stop: () => end('SIGQUIT'),
    kill: () => end('SIGKILL'),
  };
};
