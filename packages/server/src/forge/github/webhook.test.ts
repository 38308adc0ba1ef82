// Webhooks as they come: signed, forged, broken and hostile.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { receiveWebhook } from './webhook.ts';
import { maxWebhookBytes, readWebhookBody } from './webhook-body.ts';
import { readWebhookHeaders } from './webhook-headers.ts';
import { proveWebhook } from './webhook-signature.ts';

const sign = (body: Uint8Array | string, secret: string): string =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

const secrets = [new Secret('the old secret'), new Secret('the new secret')];
const headers = (more: Record<string, string> = {}) => ({
  'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
  'x-github-hook-installation-target-id': '79929171',
  'x-github-hook-installation-target-type': 'integration',
  'x-github-event': 'ping',
  'content-type': 'application/json',
  ...more,
});
const bytes = (text: string): Buffer => Buffer.from(text);

describe('the proof', () => {
  it('takes the published example of GitHub', () => {
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    const proof = proveWebhook({ 'x-hub-signature-256': signature }, bytes('Hello, World!'), [
      new Secret("It's a Secret to Everybody"),
    ]);
    expect(proof).toEqual({ kind: 'proven' });
  });

  it('is given by any secret of a list, for exactly these bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), fc.nat(), (body, at, which) => {
        const secret = secrets[which % secrets.length]?.reveal() ?? '';
        const signed = { 'x-hub-signature-256': sign(body, secret) };
        expect(proveWebhook(signed, body, secrets)).toEqual({ kind: 'proven' });
        const changed = Uint8Array.from(body);
        changed[at % body.length] = (body[at % body.length] ?? 0) ^ 1;
        expect(proveWebhook(signed, changed, secrets)).toMatchObject({ reason: 'mismatch' });
        const others = secrets.filter((one) => one.reveal() !== secret);
        expect(proveWebhook(signed, body, others)).toMatchObject({ reason: 'mismatch' });
      }),
    );
  });

  it.each<[string, Record<string, string | string[]>]>([
    ['missing', {}],
    ['missing', { 'x-hub-signature-256': '' }],
    ['malformed', { 'x-hub-signature-256': 'sha256=' }],
    ['malformed', { 'x-hub-signature-256': `sha256=${'0'.repeat(63)}` }],
    ['malformed', { 'x-hub-signature-256': `sha256=${'0'.repeat(65)}` }],
    ['malformed', { 'x-hub-signature-256': `sha256=${'g'.repeat(64)}` }],
    ['malformed', { 'x-hub-signature-256': `${sign('{}', 'the old secret')}, sha256=00` }],
    ['malformed', { 'x-hub-signature-256': [sign('{}', 'the old secret'), 'sha256=00'] }],
    ['other-algorithm', { 'x-hub-signature-256': `sha1=${'0'.repeat(40)}` }],
    ['other-algorithm', { 'x-hub-signature-256': `sha512=${'0'.repeat(128)}` }],
    ['other-algorithm', { 'x-hub-signature': `sha1=${'0'.repeat(40)}` }],
    ['mismatch', { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }],
  ])('%s', (reason, given) => {
    expect(proveWebhook(given, bytes('{}'), secrets)).toMatchObject({ kind: 'unproven', reason });
    expect(receiveWebhook({ headers: { ...headers(), ...given }, body: bytes('{}') }, secrets)).toMatchObject(
      {
        status: 401,
        reason,
      },
    );
  });

  it('is never given without a secret, and shows none', () => {
    const signed = headers({ 'x-hub-signature-256': sign('{}', '') });
    expect(receiveWebhook({ headers: signed, body: bytes('{}') }, [])).toMatchObject({ reason: 'no-secret' });
    const answers = [secrets, []].map((known) =>
      receiveWebhook({ headers: headers(), body: bytes('{}') }, known),
    );
    expect(JSON.stringify(answers)).not.toMatch(/the (?:old|new) secret/);
  });

  it('comes before anything else is looked at', () => {
    const broken = { headers: { 'content-type': 'text/plain' }, body: bytes('[') };
    expect(receiveWebhook(broken, secrets)).toMatchObject({ status: 401, reason: 'missing' });
    expect(receiveWebhook(broken, null)).toMatchObject({ status: 400, reason: 'header' });
  });
});

describe('the envelope and the body', () => {
  it('is received as JSON and as a form, signed as it came', () => {
    for (const [type, body] of [
      ['application/json; charset=utf-8', '{"zen":"é"}'],
      ['application/x-www-form-urlencoded', `payload=${encodeURIComponent('{"zen":"é+%"}')}`],
    ] as const) {
      const signed = headers({ 'content-type': type, 'x-hub-signature-256': sign(body, 'the new secret') });
      expect(receiveWebhook({ headers: signed, body: bytes(body) }, secrets)).toEqual({
        kind: 'received',
        deliveryId: '72d3162e-cc78-11e3-81ab-4c9367dc0958:79929171',
        eventName: 'ping',
        appId: 79929171,
        host: null,
        reading: { kind: 'event', event: { kind: 'ping' }, installationId: null, ownerAppId: null },
      });
    }
  });

  it('tells deliveries apart by their target, and does without one', () => {
    expect(
      readWebhookHeaders({ ...headers(), 'x-github-hook-installation-target-id': undefined }),
    ).toMatchObject({
      deliveryId: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    });
    expect(readWebhookHeaders(headers({ 'x-github-delivery': "x'; drop" }))).toMatchObject({
      reason: 'header',
    });
    expect(readWebhookHeaders(headers({ 'x-github-event': 'pull request' }))).toMatchObject({
      reason: 'header',
    });
    expect(readWebhookHeaders(headers({ 'content-type': 'text/json' }))).toMatchObject({
      reason: 'media-type',
    });
  });

  it.each<[string, string, Uint8Array, 'json' | 'form']>([
    ['cut off', 'not-json', bytes('{"a":'), 'json'],
    ['empty', 'not-json', bytes(''), 'json'],
    ['not UTF-8', 'not-json', Uint8Array.of(0x22, 0xff, 0x22), 'json'],
    ['a form without a payload', 'not-json', bytes('a=%7B%7D'), 'form'],
    ['a form with two', 'not-json', bytes('payload=%7B%7D&payload=%5B%5D'), 'form'],
    ['a bomb of arrays', 'too-deep', bytes('['.repeat(maxWebhookBytes)), 'json'],
    ['a bomb of objects', 'too-deep', bytes('{"a":'.repeat(maxWebhookBytes / 5)), 'json'],
    ['a bomb in a form', 'too-deep', bytes(`payload=${'%5B'.repeat(1_000_000)}`), 'form'],
    ['too large', 'too-large', new Uint8Array(maxWebhookBytes + 1).fill(0x20), 'json'],
  ])('is refused where it is %s', (_, reason, body, encoding) => {
    expect(readWebhookBody(body, encoding)).toMatchObject({ kind: 'refused', reason });
  });

  it('takes what is wide and flat up to the bound', () => {
    const wide = `{"commits":[${'0,'.repeat(maxWebhookBytes / 2 - 10)}0]}`;
    expect(readWebhookBody(bytes(wide), 'json').kind).toBe('json');
  });
});
