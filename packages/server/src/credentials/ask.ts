// Asks a credential source over HTTP, with a secret in hand or for one: no answer is too large, and no address is asked
// that its caller does not want. A redirect is an answer like others.
import { lookup as lookUp } from 'node:dns';
import { request as askPlainly, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as askOverTls } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { classifyAddress } from '../lib/address-class.ts';
import { errorCodeOf } from '../lib/error-code.ts';

export interface Question {
  readonly url: URL;
  readonly method?: 'GET' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  /** Of the certificate, in PEM; null: those that Node knows. */
  readonly ca?: string | null;
  readonly maxBytes: number;
  /** Every address that is connected to passes it first. */
  readonly allows: (address: string) => boolean;
}

export type Answer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      readonly text: string;
    }
  | {
      readonly kind: 'failed';
      readonly why: 'unreachable' | 'tls' | 'too-large' | 'address';
      /** Of Node's error, or an empty string. */
      readonly code: string;
    };

/** Where EC2 and GCP tell credentials over IPv6, and Alibaba's cloud does: by their form places like others. */
const otherMetadata: ReadonlySet<string> = new Set(['fd00:ec2::254', 'fd20:ce::254', '100.100.100.200']);

/** Where machines of a cloud are told their credentials, or what is no machine. */
export const isMetadataAddress = (address: string): boolean => {
  const kind = classifyAddress(address);
  const isOdd = kind === 'unspecified' || kind === 'multicast' || kind === 'invalid';
  return isOdd || kind === 'link-local' || kind === 'cloud metadata' || otherMetadata.has(address);
};

/** Known again by what it is: never told to anybody. */
const addressRefused = new Error('this address is not asked');

const guardedLookup =
  (allows: Question['allows']): LookupFunction =>
  (name, options, told) => {
    lookUp(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return told(error, '', 0);
      const [first] = found;
      if (first === undefined || !found.every(({ address }) => allows(address))) {
        return told(addressRefused, '', 0);
      }
      if (options.all === true) told(null, found);
      else told(null, first.address, first.family);
    });
  };

const tlsCodes =
  /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;

/** By the code of Node's error. */
export const isTlsFault = (code: string): boolean => tlsCodes.test(code);

const failure = (error: unknown): Answer => {
  const code = errorCodeOf(error);
  if (error === addressRefused) return { kind: 'failed', why: 'address', code };
  return { kind: 'failed', why: isTlsFault(code) ? 'tls' : 'unreachable', code };
};

const readAnswer = async (response: IncomingMessage, maxBytes: number): Promise<Answer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) return { kind: 'failed', why: 'too-large', code: '' };
    chunks.push(chunk);
  }
  const { statusCode: status = 0, headers } = response;
  return { kind: 'answered', status, headers, text: Buffer.concat(chunks).toString('utf8') };
};

/** On a connection of its own, which is closed with the answer. @throws the signal's reason */
export const ask = async (question: Question, signal: AbortSignal): Promise<Answer> => {
  const { url, method = 'GET', headers, ca, maxBytes, allows } = question;
  signal.throwIfAborted();
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) !== 0 && !allows(host)) return { kind: 'failed', why: 'address', code: '' };
  const open = url.protocol === 'https:' ? askOverTls : askPlainly;
  const response = Promise.withResolvers<IncomingMessage>();
  const asked = open(url, {
    ...{ method, headers, signal, agent: false, lookup: guardedLookup(allows) },
    ...(typeof ca === 'string' && { ca }),
  });
  asked.once('response', response.resolve);
  // It may come more than once, and after the answer: nobody waits for it then.
  asked.on('error', response.reject);
  try {
    asked.end();
    return await readAnswer(await response.promise, maxBytes);
  } catch (error) {
    signal.throwIfAborted();
    return failure(error);
  } finally {
    asked.destroy();
  }
};
