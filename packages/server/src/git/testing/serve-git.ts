// Repositories over HTTP as git's own server gives them, on loopback.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';

export interface ServedGit {
  /** Without a slash at the end; a repository is below it by its folder's name. */
  readonly origin: string;
  readonly seen: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

const answer = async (root: string, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const url = new URL(request.url ?? '', 'http://x');
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.searchParams.toString(),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      CONTENT_LENGTH: request.headers['content-length'] ?? '',
      HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.stdin.on('error', () => {});
  request.pipe(child.stdin);
  response.once('close', () => child.kill());
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  const said = Buffer.concat(chunks);
  const end = said.indexOf('\r\n\r\n');
  const headers = said.subarray(0, end).toString('latin1').split('\r\n');
  const status = headers.find((line) => line.startsWith('Status: '))?.slice(8) ?? '200';
  response.statusCode = Number.parseInt(status, 10);
  for (const line of headers) {
    const colon = line.indexOf(': ');
    if (colon !== -1 && !line.startsWith('Status'))
      response.setHeader(line.slice(0, colon), line.slice(colon + 2));
  }
  response.end(said.subarray(end + 4));
};

/** @param root the folder that holds the repositories */
export const serveGit = async (root: string): Promise<ServedGit> => {
  const seen: ServedGit['seen'][number][] = [];
  const server = createServer((request, response) => {
    seen.push({ path: request.url ?? '', headers: request.headers });
    const moved = /^\/moved(\/.*)$/.exec(request.url ?? '')?.[1];
    if (moved === undefined) answer(root, request, response).catch(() => response.destroy());
    else response.writeHead(302, { location: moved }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  return {
    origin: `http://127.0.0.1:${port}`,
    seen,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
