// A server on loopback that stands for somebody else's, and can be as bad as that one on its worst day.
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface Given {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  /** Anything but text is sent as JSON. */
  readonly body?: unknown;
}

export type Misbehaviour =
  | 'silent'
  | 'endless'
  | 'deep'
  | 'no-json'
  | 'list'
  | 'breaks-off'
  | 'echo'
  | { readonly redirectTo: string }
  | { readonly status: number };

export interface HttpDouble {
  /** Ends with a slash. */
  readonly url: string;
  readonly asked: readonly Asked[];
  /** Bytes of endless answers that were sent. */
  readonly sentBytes: () => number;
  misbehaves: Misbehaviour | null;
  close(): Promise<void>;
}

const chunk = Buffer.alloc(64 * 1024, 0x20);

const give = (response: ServerResponse, { status, headers = {}, body = '' }: Given): void => {
  const isText = typeof body === 'string';
  response.writeHead(status, { 'content-type': isText ? 'text/plain' : 'application/json', ...headers });
  response.end(isText ? body : JSON.stringify(body));
};

/** What it says when it is asked with a secret: all of that. */
const echoOf = ({ headers, body }: Asked): Given => ({
  status: 400,
  body: { errors: [JSON.stringify(headers), body], __type: JSON.stringify(headers), message: body },
});

/** @param tls a server with that certificate */
export const startHttpDouble = async (
  answer: (asked: Asked) => Given,
  tls?: { readonly key: string; readonly cert: string },
): Promise<HttpDouble> => {
  const asked: Asked[] = [];
  let sent = 0;
  const pour = (response: ServerResponse): void => {
    const more = (): void => {
      if (response.destroyed) return;
      sent += chunk.length;
      response.write(chunk, (error) => {
        if (!error) setImmediate(more);
      });
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"a":"');
    more();
  };
  const misbehave = (how: Misbehaviour, one: Asked, response: ServerResponse): void => {
    if (typeof how === 'object') {
      if ('status' in how) give(response, { status: how.status, body: '{}' });
      else give(response, { status: 307, headers: { location: how.redirectTo } });
      return;
    }
    switch (how) {
      case 'silent':
        return;
      case 'endless':
        return pour(response);
      case 'deep':
        return give(response, { status: 200, body: '{"data":'.repeat(50_000) });
      case 'no-json':
        return give(response, { status: 200, body: '<html>canary</html>' });
      case 'list':
        return give(response, { status: 200, body: ['canary'] });
      case 'breaks-off':
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"a":');
        setImmediate(() => response.destroy());
        return;
      case 'echo':
        return give(response, echoOf(one));
    }
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const take = async (): Promise<void> => {
      const { method = '', url = '', headers } = request;
      const one: Asked = { method, target: url, headers, body: await text(request) };
      asked.push(one);
      if (double.misbehaves === null) give(response, answer(one));
      else misbehave(double.misbehaves, one, response);
    };
    take().catch(() => response.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const double: HttpDouble = {
    url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}/`,
    asked,
    sentBytes: () => sent,
    misbehaves: null,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return double;
};
