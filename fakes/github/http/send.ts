// Puts an answer on the wire, whole or in one of the ways that it can go wrong there.
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import type { World } from '../state/world.ts';
import type { Answer } from './call.ts';
import type { Fault } from './faults.ts';
import { secondaryRefusal } from './rate-limits.ts';

export type FaultOnWire = Extract<Fault, { kind: 'cutBody' | 'slowBody' }>;

/** The answer that a fault gives in place of the route's; null for faults of another kind. */
export const faultAnswer = (world: World, fault: Fault): (Answer & { readonly text?: string }) | null => {
  const documentation_url = 'https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api';
  switch (fault.kind) {
    case 'secondaryLimit': {
      const { status, message, headers } = secondaryRefusal(fault.status, fault.retryAfterS);
      return { status, body: { message, documentation_url }, headers };
    }
    case 'rateLimited': {
      const { retryAfterS, status } = fault;
      const reset = Math.ceil(world.clock.now() / 1000) + (retryAfterS ?? 3600);
      return {
        status,
        body: { message: 'API rate limit exceeded.', documentation_url },
        headers: {
          'x-ratelimit-limit': '5000',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-used': '5000',
          'x-ratelimit-reset': `${reset}`,
          'x-ratelimit-resource': 'core',
          ...(retryAfterS === null ? {} : { 'retry-after': `${retryAfterS}` }),
        },
      };
    }
    case 'status':
      return { status: fault.status, body: null, text: fault.body };
    case 'hang':
    case 'delay':
    case 'slowBody':
    case 'cutBody':
      return null;
  }
};

const headersOf = (world: World, answer: Answer): Record<string, string> => ({
  date: new Date(world.clock.now()).toUTCString(),
  server: 'github.com',
  vary: 'Accept, Authorization, Cookie, Accept-Encoding',
  'x-github-media-type': 'github.v3; format=json',
  'x-github-api-version-selected': '2022-11-28',
  ...(answer.body === null ? {} : { 'content-type': 'application/json; charset=utf-8' }),
  ...answer.headers,
});

export const sendAnswer = async (
  world: World,
  reply: FastifyReply,
  answer: Answer & { readonly text?: string },
): Promise<void> => {
  const body = answer.text ?? (answer.body === null ? '' : JSON.stringify(answer.body));
  await reply.code(answer.status).headers(headersOf(world, answer)).send(body);
};

/** Sends the head and a part of the body, then the rest slowly or never. */
export const sendBroken = async (
  world: World,
  reply: FastifyReply,
  { answer, fault }: { readonly answer: Answer; readonly fault: FaultOnWire },
): Promise<void> => {
  reply.hijack();
  const { raw } = reply;
  const body = Buffer.from(answer.body === null ? '' : JSON.stringify(answer.body));
  raw.writeHead(answer.status, { ...headersOf(world, answer), 'content-length': `${body.length}` });
  if (fault.kind === 'cutBody') {
    // Ends the connection only once the half is out: destroyed at once, nothing would arrive at all.
    raw.write(body.subarray(0, Math.floor(body.length / 2)), () => raw.destroy());
    return;
  }
  const size = Math.ceil(body.length / fault.pieces);
  for (let at = 0; at < body.length && !raw.destroyed; at += size) {
    raw.write(body.subarray(at, at + size));
    await pause(fault.pauseMs);
  }
  raw.end();
};
