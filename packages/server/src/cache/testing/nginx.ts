// A real nginx on the loopback for tests, that takes uploads: what many run as their binary cache.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, startChild } from '@eka-ci/process';
import { freePort } from './free-port.ts';

export interface Nginx {
  /** With a slash at its end. */
  readonly url: string;
  /** Where the files are on this disk. */
  readonly root: string;
  stop(): Promise<void>;
}

export interface NginxLogin {
  readonly user: string;
  readonly password: string;
}

const findNginx = (): string | null =>
  findProgram('nginx', `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`);

/** Why none can be started here; null where one can. */
export const whyNoNginx = (): string | null => (findNginx() === null ? 'nginx is not installed' : null);

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

const configOf = (folder: string, port: number): string =>
  [
    // As root its workers would be somebody else, who may not look into the folder of a test.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'worker_processes 1; daemon off;',
    `pid ${folder}/pid; error_log ${folder}/errors;`,
    'events { worker_connections 256; }',
    'http {',
    'access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${folder}/temporary-${name};`),
    `server { listen 127.0.0.1:${port}; root ${folder}/files; location / {`,
    `auth_basic cache; auth_basic_user_file ${folder}/users;`,
    'dav_methods PUT; create_full_put_path on; client_max_body_size 0;',
    '} } }',
  ].join('\n');

/** @param folder is made */
export const startNginx = async (folder: string, { user, password }: NginxLogin): Promise<Nginx> => {
  const root = join(folder, 'files');
  await mkdir(root, { recursive: true });
  await writeFile(join(folder, 'users'), `${user}:{PLAIN}${password}\n`);
  const port = await freePort();
  const config = join(folder, 'config');
  await writeFile(config, configOf(folder, port));
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
  return {
    url,
    root,
    async stop() {
      server.end('SIGQUIT');
      await server.exited;
    },
  };
};
