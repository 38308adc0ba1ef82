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

export const ask = (target: Target, path: string, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const sent = request({ ...target, path, headers }, (answer) => {
      text(answer).then(
        (body) => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }),
        reject,
      );
    });
    sent.once('error', reject);
    sent.end();
  });

/** Sends these bytes, says nothing more, and gives all that comes until the server hangs up. */
export const sendAndWait = async (target: Target, bytes: string): Promise<string> => {
  const socket = 'socketPath' in target ? connect(target.socketPath) : connect(target.port, target.host);
  socket.write(bytes);
  return await text(socket);
};
