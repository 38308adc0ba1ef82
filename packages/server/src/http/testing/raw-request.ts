// Requests as a hostile client sends them: the address goes out byte by byte, nothing is normalised on the way.
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

export type Target = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export const send = (
  target: Target,
  { method = 'GET', path, headers = {}, body }: RawRequest,
): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const sent = request({ ...target, method, path, headers }, (answer) => {
      text(answer).then(
        (received) => resolve({ status: answer.statusCode ?? 0, body: received, headers: answer.headers }),
        reject,
      );
    });
    sent.once('error', reject);
    sent.end(body);
  });

export const ask = (target: Target, path: string, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  send(target, { path, headers });

/** Sends these bytes, says nothing more, and gives all that comes until the server hangs up. */
export const sendAndWait = async (target: Target, bytes: string): Promise<string> => {
  const socket = 'socketPath' in target ? connect(target.socketPath) : connect(target.port, target.host);
  socket.write(bytes);
  return await text(socket);
};
