// What every answer says to a browser: this is data, it is not to be framed, sniffed or run.
import type { FastifyReply } from 'fastify';

const always: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};
const oneYear = 'max-age=31536000';

/** @param behindTls a browser that came by TLS is told to keep to it; one that did not must not hear so (RFC 6797) */
export const securityHeaders = (behindTls: boolean): Readonly<Record<string, string>> =>
  behindTls ? { ...always, 'strict-transport-security': oneYear } : always;

export const setSecurityHeaders = (reply: FastifyReply, behindTls: boolean): void => {
  reply.headers(securityHeaders(behindTls));
};

/** Beside these: a page of ours, of which nothing runs, and whose style is a file of this server. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
};

/** Of a page with forms, which go to this server; they say where they come from. */
export const formPageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'referrer-policy': 'same-origin',
};
