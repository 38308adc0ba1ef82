// Whether a webhook comes from who knows our secret: told from its raw bytes, before anything is read of it.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../config/secret.ts';
import type { WebhookHeaders } from './webhook-headers.ts';

export type UnprovenReason =
  /** Nobody set a secret: nothing can be proven. */
  | 'no-secret'
  | 'missing'
  | 'malformed'
  /** Only a SHA-1 signature is there, or another algorithm is named. */
  | 'other-algorithm'
  | 'mismatch';

export type WebhookProof =
  | { readonly kind: 'proven' }
  | { readonly kind: 'unproven'; readonly reason: UnprovenReason; readonly message: string };

const messages: Readonly<Record<UnprovenReason, string>> = {
  'no-secret': 'no webhook secret is set: set security.webhook_secret to the one of the GitHub App',
  missing:
    'X-Hub-Signature-256 is missing: set the webhook secret of the GitHub App to security.webhook_secret',
  malformed: 'X-Hub-Signature-256 is not "sha256=" and 64 hexadecimal digits',
  'other-algorithm': 'the signature is not SHA-256: send X-Hub-Signature-256',
  mismatch: 'X-Hub-Signature-256 is not of this body under a secret of ours: compare both webhook secrets',
};

const unproven = (reason: UnprovenReason): WebhookProof => ({
  kind: 'unproven',
  reason,
  message: messages[reason],
});

/**
 * The signature is of the bytes as they came, also where they are a form with the JSON in its field `payload`. Any of
 * the secrets proves: that is how one is replaced. Takes as long whichever does, and wherever a signature is wrong.
 */
export const proveWebhook = (
  headers: WebhookHeaders,
  body: Uint8Array,
  secrets: readonly Secret[],
): WebhookProof => {
  const written = headers['x-hub-signature-256'];
  if (secrets.length === 0) return unproven('no-secret');
  if (written === undefined || written === '') {
    return unproven(headers['x-hub-signature'] === undefined ? 'missing' : 'other-algorithm');
  }
  // A header that came twice is a list here.
  if (typeof written !== 'string') return unproven('malformed');
  const digest = /^sha256=([0-9a-f]{64})$/i.exec(written)?.[1];
  if (digest === undefined) {
    const isOther = /^(?!sha256=)[a-z0-9-]{1,20}=[0-9a-f]+$/i.test(written);
    return unproven(isOther ? 'other-algorithm' : 'malformed');
  }
  const claimed = Buffer.from(digest, 'hex');
  let matches = 0;
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret.reveal()).update(body).digest();
    matches += timingSafeEqual(expected, claimed) ? 1 : 0;
  }
  return matches > 0 ? { kind: 'proven' } : unproven('mismatch');
};
