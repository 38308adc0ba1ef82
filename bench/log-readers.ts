// Readers of a log that is told live, in a process of their own: each counts what it is told and what it is told to have
// missed, until that is all. Speaks WebSocket by hand: a real client would take as much of the machine as the server.
// Arguments: port, derivation, readers, events.
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const [port = '', drv = '', readers = '', events = ''] = process.argv.slice(2);

/** A short text message from a client, whose mask is nothing (RFC 6455, 5.3). */
const frameOf = (text: string): Buffer => {
  const body = Buffer.from(text);
  const head = Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, body]);
};

const skippedForm = Buffer.from('{"type":"skipped"');
const subscribedForm = Buffer.from('{"type":"subscribed"');

/** Calls `onMessage` for each whole message of a server. @returns takes bytes as they come */
const createFrames = (onMessage: (bytes: Buffer, start: number, end: number) => void) => {
  let rest = Buffer.of();
  return (chunk: Buffer): void => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    for (;;) {
      if (bytes.length < at + 10 && bytes.length < at + 2) break;
      const short = bytes[at + 1] ?? 0;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < at + header) break;
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      const end = at + header + length;
      if (bytes.length < end) break;
      if ((bytes[at] ?? 0) === 0x81) onMessage(bytes, at + header, end);
      at = end;
    }
    rest = at === bytes.length ? Buffer.of() : Buffer.from(bytes.subarray(at));
  };
};

const startsWith = (bytes: Buffer, start: number, form: Buffer): boolean =>
  bytes.compare(form, 0, form.length, start, start + form.length) === 0;

interface Heard {
  told: number;
  skipped: number;
}

const follow = (onSubscribed: () => void): Promise<Heard> =>
  new Promise((resolve, reject) => {
    const heard: Heard = { told: 0, skipped: 0 };
    const socket: Socket = connect(Number(port), '127.0.0.1');
    const take = createFrames((bytes, start, end) => {
      if (startsWith(bytes, start, subscribedForm)) return onSubscribed();
      if (startsWith(bytes, start, skippedForm)) {
        const { events: missed } = JSON.parse(bytes.toString('utf8', start, end)) as { events: number };
        heard.skipped += missed;
      } else heard.told += 1;
      if (heard.told + heard.skipped < Number(events)) return;
      socket.destroy();
      resolve(heard);
    });
    let isOpen = false;
    socket.on('data', (chunk) => {
      if (isOpen) return take(chunk);
      const end = chunk.indexOf('\r\n\r\n');
      if (end === -1 || !chunk.toString('latin1').startsWith('HTTP/1.1 101'))
        return reject(new Error(chunk.toString()));
      isOpen = true;
      take(chunk.subarray(end + 4));
      socket.write(frameOf(JSON.stringify({ type: 'subscribe', resource: 'drv', id: drv })));
    });
    socket.on('error', reject);
    socket.on('close', () =>
      reject(new Error(`a reader lost its connection after ${heard.told + heard.skipped} events`)),
    );
    const key = randomBytes(16).toString('base64');
    const lines = ['GET /v1/ws/builds HTTP/1.1', 'Host: bench', 'Connection: Upgrade', 'Upgrade: websocket'];
    socket.write([...lines, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n'));
  });

let subscribed = 0;
const onSubscribed = (): void => {
  subscribed += 1;
  if (subscribed === Number(readers)) process.stdout.write('"subscribed"\n');
};
const heard = await Promise.all(Array.from({ length: Number(readers) }, () => follow(onSubscribed)));
process.stdout.write(`${JSON.stringify(heard)}\n`);
