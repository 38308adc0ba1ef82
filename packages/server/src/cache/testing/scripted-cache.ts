// A web server for tests that a test tells what to answer: what goes wrong with caches goes wrong here on purpose.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface ScriptedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

/** `keep`: as a cache that works. `hang`: no answer. `break`: it hangs up; `cut`: in the middle of an answer. */
export type Script = (
  request: ScriptedRequest,
) => ScriptedAnswer | 'keep' | 'hang' | 'break' | 'cut' | 'upgrade';

export interface ScriptedCache {
  /** With a slash at its end. */
  readonly url: string;
  readonly requests: readonly ScriptedRequest[];
  readonly files: Map<string, Buffer>;
  follow(script: Script): void;
  stop(): Promise<void>;
}

export const startScriptedCache = async (): Promise<ScriptedCache> => {
  const files = new Map<string, Buffer>();
  const requests: ScriptedRequest[] = [];
  let script: Script = () => 'keep';

  const keep = ({ method, path }: ScriptedRequest, body: Buffer): ScriptedAnswer & { data?: Buffer } => {
    if (method === 'PUT') {
      files.set(path, body);
      return { status: 201 };
    }
    const data = files.get(path);
    return data === undefined ? { status: 404 } : { status: 200, data };
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '' } = request;
    const asked = { method, path, authorization: request.headers.authorization };
    requests.push(asked);
    const told = script(asked);
    if (told === 'hang') return;
    if (told === 'upgrade') {
      response.socket?.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
      return;
    }
    if (told === 'break') {
      request.destroy();
      return;
    }
    if (told === 'cut') {
      response.writeHead(200, { 'content-length': 100 });
      response.write('StorePath: ', () => request.destroy());
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const answer = told === 'keep' ? keep(asked, Buffer.concat(parts)) : told;
    response.writeHead(answer.status, answer.headers ?? {});
    response.end(method === 'HEAD' ? undefined : 'data' in answer ? answer.data : answer.body);
  };

  const server = createServer(
    (request, response) => void handle(request, response).catch(() => response.destroy()),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`,
    requests,
    files,
    follow: (next) => {
      script = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
