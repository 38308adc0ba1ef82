// A log as an answer: as text, whole or a part of it, or as a page. Nothing of it is run.
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { acceptsHtml } from '../accepts-html.ts';
import { parseByteRange } from '../byte-range.ts';
import { HttpError } from '../errors.ts';
import { isKnownToClient } from '../etag.ts';
import type { OpenLog } from '../log-store.ts';
import { logStylePath } from '../pages.ts';
import { pageHeaders } from '../security-headers.ts';
import { renderLog } from './log-html.ts';

export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** A range is of the log the client knows, or the client gets it all (RFC 9110, 13.1.5). */
const rangeOf = ({ headers }: FastifyRequest, log: OpenLog) => {
  const condition = headers['if-range'];
  const counts = condition === undefined || condition === log.etag;
  return parseByteRange(counts ? headers.range : undefined, log.sizeBytes);
};

/** @returns null, for an answer without a body */
export const closeLog = async (log: OpenLog): Promise<null> => {
  await log.close();
  return null;
};

/** Null for an answer without a body; the file is closed then. */
const prepareText = async ({ request, reply }: Exchange, log: OpenLog): Promise<Readable | null> => {
  reply.headers({ etag: log.etag, 'accept-ranges': 'bytes' });
  if (isKnownToClient(request, log.etag)) {
    reply.code(304);
    return await closeLog(log);
  }
  const range = rangeOf(request, log);
  if (range.kind === 'unsatisfiable') {
    await closeLog(log);
    reply.header('content-range', `bytes */${log.sizeBytes}`);
    throw new HttpError('RANGE_NOT_SATISFIABLE', `the log has ${log.sizeBytes} bytes: ask for some of these`);
  }
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: log.sizeBytes - 1 };
  if (range.kind === 'part') {
    reply.code(206).header('content-range', `bytes ${start}-${end}/${log.sizeBytes}`);
  }
  reply.headers({ 'content-type': 'text/plain; charset=utf-8', 'content-length': String(end - start + 1) });
  if (request.method === 'HEAD' || end < start) return await closeLog(log);
  return log.stream(start, end);
};

/** As `prepareText`. Of unknown length, so without ranges. */
const prepareHtml = async (
  { request, reply }: Exchange,
  log: OpenLog,
  page: { readonly name: string; readonly textPath: string },
): Promise<Readable | null> => {
  const etag = log.etag.replace(/"$/, '-html"');
  reply.headers({ etag, ...pageHeaders });
  if (isKnownToClient(request, etag)) {
    reply.code(304);
    return await closeLog(log);
  }
  reply.header('content-type', 'text/html; charset=utf-8');
  if (request.method === 'HEAD') return await closeLog(log);
  const shown = { title: `${page.name}: log`, textPath: page.textPath, stylePath: logStylePath };
  if (log.sizeBytes === 0) {
    await closeLog(log);
    return Readable.from(renderLog([], shown));
  }
  const bytes = log.stream(0, log.sizeBytes - 1);
  const html = Readable.from(renderLog(bytes, shown));
  // Also where the client goes before anything was read: what has not begun closes nothing behind it.
  return html.once('close', () => bytes.destroy());
};

export interface WantedLog {
  /** Of the page. */
  readonly title: string;
  /** Where the text is, for who looks at the page. */
  readonly textPath: string;
  readonly format: 'text' | 'html' | undefined;
}

/** Reads the log to the end of what was asked for, and closes it. @throws HttpError RANGE_NOT_SATISFIABLE */
export const sendLog = async (
  { request, reply }: Exchange,
  log: OpenLog,
  { title, textPath, format }: WantedLog,
): Promise<void> => {
  const asHtml = (format ?? (acceptsHtml(request.headers.accept) ? 'html' : 'text')) === 'html';
  reply.headers({ 'cache-control': 'no-cache', vary: 'Accept' });
  const body = asHtml
    ? prepareHtml({ request, reply }, log, { name: title, textPath })
    : prepareText({ request, reply }, log);
  await reply.send(await body);
};
