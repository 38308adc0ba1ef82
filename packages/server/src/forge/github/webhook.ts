// One webhook from its raw request to an event: proof first, then envelope, body and meaning.
import { z } from 'zod';
import type { Secret } from '../../config/secret.ts';
import { readWebhookBody, type WebhookRefusal } from './webhook-body.ts';
import { readWebhookEvent, type WebhookReading } from './webhook-events.ts';
import { readWebhookHeaders, type WebhookEnvelope, type WebhookHeaders } from './webhook-headers.ts';
import { proveWebhook, type UnprovenReason } from './webhook-signature.ts';

export interface RawWebhook {
  readonly headers: WebhookHeaders;
  /** As it came, to the byte. */
  readonly body: Uint8Array;
}

type RefusalReason =
  | UnprovenReason
  | WebhookRefusal['reason']
  | Extract<WebhookEnvelope, { kind: 'refused' }>['reason'];

export type ReceivedWebhook =
  | {
      readonly kind: 'received';
      readonly deliveryId: string;
      readonly eventName: string;
      /** GitHub's number of the app whose hook it is; null where it does not say. */
      readonly appId: number | null;
      /** Of its web pages, as the body itself says: that is proven with it, and no header is. Null where it does not. */
      readonly host: string | null;
      readonly reading: Exclude<WebhookReading, WebhookRefusal>;
    }
  | {
      readonly kind: 'refused';
      /** To be answered. */
      readonly status: 400 | 401 | 413 | 415;
      readonly reason: RefusalReason;
      readonly message: string;
    };

const statusOf = (reason: RefusalReason): 400 | 401 | 413 | 415 => {
  switch (reason) {
    case 'no-secret':
    case 'missing':
    case 'malformed':
    case 'other-algorithm':
    case 'mismatch':
      return 401;
    case 'media-type':
      return 415;
    case 'too-large':
      return 413;
    case 'header':
    case 'not-json':
    case 'too-deep':
    case 'shape':
      return 400;
  }
};

const refuse = (refusal: { readonly reason: RefusalReason; readonly message: string }): ReceivedWebhook => ({
  kind: 'refused',
  status: statusOf(refusal.reason),
  reason: refusal.reason,
  message: refusal.message,
});

const Page = z.object({ html_url: z.string().optional() }).nullish().catch(null);
const Pages = z.object({ repository: Page, organization: Page, sender: Page });

/** Of the web pages that the body names; null where it names none. */
export const hostOfWebhook = (json: unknown): string | null => {
  const pages = Pages.safeParse(json).data;
  const url = pages?.repository?.html_url ?? pages?.organization?.html_url ?? pages?.sender?.html_url;
  return url === undefined ? null : (URL.parse(url)?.host ?? null);
};

/** @param secrets null: the operator waived the proof; an empty list proves nothing */
export const receiveWebhook = (
  { headers, body }: RawWebhook,
  secrets: readonly Secret[] | null,
): ReceivedWebhook => {
  if (secrets !== null) {
    const proof = proveWebhook(headers, body, secrets);
    if (proof.kind === 'unproven') return refuse(proof);
  }
  const envelope = readWebhookHeaders(headers);
  if (envelope.kind === 'refused') return refuse(envelope);
  const { deliveryId, eventName, appId } = envelope;
  const read = readWebhookBody(body, envelope.encoding);
  if (read.kind === 'refused') return refuse(read);
  const reading = readWebhookEvent(eventName, read.json);
  return reading.kind === 'refused'
    ? refuse(reading)
    : { kind: 'received', deliveryId, eventName, appId, host: hostOfWebhook(read.json), reading };
};
