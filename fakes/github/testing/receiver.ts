// Where deliveries of a fake go in its own tests.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Json, type JsonObject } from '../state/json.ts';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  readonly event: string;
  readonly payload: JsonObject;
}

export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** What it answers from now on; null: nothing at all. */
  answerWith(status: number | null): void;
  close(): Promise<void>;
}

const parse = (raw: string): Json =>
  JSON.parse(raw.startsWith('payload=') ? (new URLSearchParams(raw).get('payload') ?? '') : raw) as Json;

export const startReceiver = async (): Promise<Receiver> => {
  const received: Received[] = [];
  let status: number | null = 202;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks).toString('utf8');
      const event = String(request.headers['x-github-event']);
      received.push({ headers: request.headers, raw, event, payload: parse(raw) as JsonObject });
      if (status !== null) response.writeHead(status).end('heard');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    answerWith: (wanted) => {
      status = wanted;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};
