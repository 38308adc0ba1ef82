// Answers what is no HTTP request, or does not become one in time: before any route, in the same shape as elsewhere.

import type { Duplex } from 'node:stream';
import { errorCodeOf } from '../lib/error-code.ts';
import { answerOf, HttpError } from './errors.ts';
import { STATUS_CODES } from './node-http.ts';
import { securityHeaders } from './security-headers.ts';

const errorOf = (code: string): HttpError => {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError('REQUEST_TIMEOUT', 'the request took too long to arrive: send it again, faster');
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError('HEADERS_TOO_LARGE', 'the headers are too large: send at most 16 KiB');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new HttpError('BODY_TOO_LARGE', 'the extensions of a chunk of the body are too large');
    default:
      return new HttpError('REQUEST_INVALID', 'this is no HTTP/1.1 request');
  }
};

export const answerBrokenRequest = (fault: Error, socket: Duplex): void => {
  const code = errorCodeOf(fault);
  if (code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = answerOf(errorOf(code));
  const text = JSON.stringify(body);
  const headers = {
    ...securityHeaders(false),
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    'cache-control': 'no-store',
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n`;
  socket.end(`${head}${lines.join('')}\r\n${text}`, () => socket.destroy());
};
