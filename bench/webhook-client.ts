// Sends deliveries over many connections, each the next one as soon as it has its answer. Speaks HTTP by hand: a real
// client would take as much of the machine as the server that is measured.
import { connect, type Socket } from 'node:net';
import { signatureOf } from '@eka-ci/server/http/testing/delivery-front';

export const webhookSecret = 'only-for-this-benchmark';

export interface Sending {
  readonly port: number;
  readonly deliveries: number;
  readonly connections: number;
  readonly bodyBytes: number;
  /** Called after each answer. */
  readonly onAnswer?: (answered: number) => void;
}

export interface Sent {
  /** Ids that were answered with 202. */
  readonly answered: readonly string[];
  /** From the first byte sent to the whole answer, one a delivery. */
  readonly latenciesMs: readonly number[];
  readonly tookMs: number;
}

interface Request {
  readonly id: string;
  readonly bytes: Buffer;
}

const createRequest = (number: number, bodyBytes: number): Request => {
  const id = `delivery-${number}`;
  const start = `{"delivery":"${id}","text":"`;
  const body = Buffer.from(`${start}${'x'.repeat(Math.max(0, bodyBytes - start.length - 2))}"}`);
  const head = [
    'POST /deliveries HTTP/1.1',
    'host: bench',
    'content-type: application/json',
    `content-length: ${body.length}`,
    `x-delivery: ${id}`,
    `x-signature: ${signatureOf(body, webhookSecret).toString('hex')}`,
  ];
  return { id, bytes: Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]) };
};

/** Status of the next answer, which has no body; null when the connection is gone. */
const createAnswers = (socket: Socket) => {
  let text = '';
  let waiting: ((status: number | null) => void) | null = null;
  let gone = false;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    if (!text.includes('\r\n\r\n')) return;
    const status = Number(text.slice(9, 12));
    text = '';
    waiting?.(status);
  });
  socket.on('error', () => {}); // Its closing tells enough.
  socket.on('close', () => {
    gone = true;
    waiting?.(null);
  });
  return (): Promise<number | null> =>
    gone ? Promise.resolve(null) : new Promise((resolve) => (waiting = resolve));
};

/** Ends early where the server goes. @throws Error on another answer than 202 */
export const sendDeliveries = async (sending: Sending): Promise<Sent> => {
  const requests = Array.from({ length: sending.deliveries }, (_, number) =>
    createRequest(number, sending.bodyBytes),
  );
  const answered: string[] = [];
  const latenciesMs: number[] = [];
  const send = async (): Promise<void> => {
    const socket = connect(sending.port, '127.0.0.1').setNoDelay();
    const nextAnswer = createAnswers(socket);
    for (let request = requests.pop(); request !== undefined; request = requests.pop()) {
      const sentAt = performance.now();
      socket.write(request.bytes);
      const status = await nextAnswer();
      if (status === null) break;
      if (status !== 202) throw new Error(`${request.id} was answered with ${status}`);
      latenciesMs.push(performance.now() - sentAt);
      answered.push(request.id);
      sending.onAnswer?.(answered.length);
    }
    socket.destroy();
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: sending.connections }, send));
  return { answered, latenciesMs, tookMs: performance.now() - startedAt };
};
