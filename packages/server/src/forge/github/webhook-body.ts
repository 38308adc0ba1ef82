// The body of a webhook, from bytes to whatever JSON holds: refused where it is no text, no JSON, or too deep.
import { isDeeper } from '../../lib/json-depth.ts';

/** What GitHub sends at most (25 MB, and it means MiB). */
export const maxWebhookBytes = 26_214_400;

/** GitHub's own go to about 10. */
const maxDepth = 64;

export type WebhookRefusal = {
  readonly kind: 'refused';
  readonly reason: 'too-large' | 'not-json' | 'too-deep' | 'shape';
  readonly message: string;
};

export const refuseBody = (reason: WebhookRefusal['reason'], message: string): WebhookRefusal => ({
  kind: 'refused',
  reason,
  message,
});

const decode = (body: Uint8Array): string | null => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return null; // Not UTF-8: the one reason that this decoder has to throw.
  }
};

const readForm = (text: string): string | null => {
  const payloads = new URLSearchParams(text).getAll('payload');
  return payloads.length === 1 ? (payloads[0] ?? null) : null;
};

export const readWebhookBody = (
  body: Uint8Array,
  encoding: 'json' | 'form',
): WebhookRefusal | { readonly kind: 'json'; readonly json: unknown } => {
  if (body.byteLength > maxWebhookBytes) {
    return refuseBody('too-large', `the body is larger than ${maxWebhookBytes} bytes`);
  }
  const text = decode(body);
  if (text === null) return refuseBody('not-json', 'the body is not UTF-8');
  const written = encoding === 'form' ? readForm(text) : text;
  if (written === null) return refuseBody('not-json', 'the form has not one field `payload`');
  if (isDeeper(written, maxDepth)) {
    return refuseBody('too-deep', `the body is nested deeper than ${maxDepth} levels`);
  }
  try {
    return { kind: 'json', json: JSON.parse(written) };
  } catch {
    // What the parser says quotes the body, which is not ours to show.
    return refuseBody('not-json', 'the body is not JSON');
  }
};
