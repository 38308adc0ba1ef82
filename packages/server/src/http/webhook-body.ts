// Bodies of webhooks, to the byte, within a bound of each and one of all that are being received together.

import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';

/** Memory for the bodies of all that are under way: nobody has proven anything yet. */
export interface BodyRoom {
  /** False: there is not so much left, and nothing is taken. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export const createBodyRoom = (maxBytes: number): BodyRoom => {
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > maxBytes) return false;
      taken += bytes;
      return true;
    },
    give(bytes) {
      taken -= bytes;
    },
  };
};

/** A whole body; whoever is given it gives its room back. */
export interface RawBody {
  readonly bytes: Buffer;
  giveBack(): void;
}

export interface BodyBounds {
  readonly maxBytes: number;
  readonly room: BodyRoom;
}

const tooLarge = (maxBytes: number): HttpError =>
  new HttpError('BODY_TOO_LARGE', `the body is too large: send at most ${maxBytes} bytes`);

const noRoom = (): HttpError =>
  new HttpError('SERVER_NOT_READY', 'too much is being received already: try again in a moment');

const cutShort = (cause?: Error): HttpError =>
  new HttpError('REQUEST_INVALID', 'the body is shorter than it was said to be', { cause });

const declaredBytes = ({ headers }: FastifyRequest): number => Number(headers['content-length'] ?? 0);

/** @throws HttpError; nothing is kept then, and whatever still comes is let pass by */
const readBody = (request: FastifyRequest, payload: Readable, bounds: BodyBounds): Promise<RawBody> => {
  const { maxBytes, room } = bounds;
  const { promise, resolve, reject } = Promise.withResolvers<RawBody>();
  const chunks: Buffer[] = [];
  let received = 0;
  const stop = (): void => {
    payload.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onClose);
    // It may break later too, when nobody asks any more.
    payload.on('error', () => {});
  };
  const giveBack = (): void => room.give(received);
  const fail = (error: HttpError): void => {
    stop();
    giveBack();
    payload.resume();
    reject(error);
  };
  const onData = (chunk: Buffer): void => {
    if (received + chunk.length > maxBytes) return fail(tooLarge(maxBytes));
    if (!room.take(chunk.length)) return fail(noRoom());
    received += chunk.length;
    chunks.push(chunk);
  };
  const onEnd = (): void => {
    stop();
    resolve({ bytes: Buffer.concat(chunks, received), giveBack });
  };
  const onBroken = (error: Error): void => fail(cutShort(error));
  const onClose = (): void => fail(cutShort());
  if (declaredBytes(request) > maxBytes) return Promise.reject(tooLarge(maxBytes));
  payload.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onClose);
  return promise;
};

/** Every body of the routes of this scope is a `RawBody`; what is neither JSON nor a form is refused unread. */
export const takeRawBodies = (scope: FastifyInstance, bounds: BodyBounds): void => {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    ['application/json', 'application/x-www-form-urlencoded'],
    (request: FastifyRequest, payload: Readable) => readBody(request, payload, bounds),
  );
};
