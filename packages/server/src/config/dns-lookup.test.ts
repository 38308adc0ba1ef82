// Names asked of a name server of the test's own.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lookUpByDns } from './dns-lookup.ts';

const addresses: Readonly<
  Record<string, { readonly four?: readonly number[]; readonly six?: readonly number[] }>
> = {
  'both.example': { four: [1, 2, 3, 4], six: [0x20, 1, ...Array.from({ length: 13 }, () => 0), 9] },
  'four.example': { four: [10, 0, 0, 1] },
};

/** A message of RFC 1035 with the question of `asked` and at most one answer. */
const answerTo = (asked: Buffer): Buffer => {
  const labels: string[] = [];
  let at = 12;
  for (let length = asked[at] ?? 0; length > 0; length = asked[at] ?? 0) {
    labels.push(asked.subarray(at + 1, at + 1 + length).toString('latin1'));
    at += length + 1;
  }
  const type = asked.readUInt16BE(at + 1);
  const known = addresses[labels.join('.')];
  const data = type === 1 ? known?.four : type === 28 ? known?.six : undefined;
  const header = Buffer.alloc(12);
  asked.copy(header, 0, 0, 2);
  header.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(data === undefined ? 0 : 1, 6);
  const question = asked.subarray(12, at + 5);
  if (data === undefined) return Buffer.concat([header, question]);
  const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]);
  return Buffer.concat([header, question, record]);
};

let socket: Socket;
let servers: readonly string[];
beforeEach(async () => {
  socket = createSocket('udp4');
  socket.on('message', (asked, { port, address }) => socket.send(answerTo(asked), port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  servers = [`127.0.0.1:${socket.address().port}`];
});
afterEach(() => void socket.close());

it('gives every address that DNS has, of both kinds', async () => {
  expect(await lookUpByDns('both.example', servers)).toEqual(['1.2.3.4', '2001::9']);
  expect(await lookUpByDns('four.example', servers)).toEqual(['10.0.0.1']);
  await expect(lookUpByDns('none.example', servers)).rejects.toMatchObject({ code: 'ENOTFOUND' });
  // No hosts file is asked.
  await expect(lookUpByDns('localhost.example', servers)).rejects.toMatchObject({ code: 'ENOTFOUND' });
});
