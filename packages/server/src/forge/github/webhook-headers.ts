// What the headers of a webhook say: which delivery it is, of what event, and how its body is written.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers

/** As Node gives them: names in lower case. */
export type WebhookHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export type WebhookEnvelope =
  | {
      readonly kind: 'envelope';
      /**
       * The same for a delivery and for its repetition, and no other's: the GUID is shared by all hooks that get an
       * event, so the hook's target is part of it.
       */
      readonly deliveryId: string;
      readonly eventName: string;
      /** GitHub's number of the app whose hook it is; null where it does not say, or the hook is no app's. */
      readonly appId: number | null;
      readonly encoding: 'json' | 'form';
    }
  | { readonly kind: 'refused'; readonly reason: 'header' | 'media-type'; readonly message: string };

const single = (headers: WebhookHeaders, name: string, form: RegExp): string | null => {
  const value = headers[name];
  return typeof value === 'string' && form.test(value) ? value : null;
};

const refused = (reason: 'header' | 'media-type', message: string): WebhookEnvelope => ({
  kind: 'refused',
  reason,
  message,
});

const readEncoding = (headers: WebhookHeaders): 'json' | 'form' | null => {
  const value = headers['content-type'];
  const type = typeof value === 'string' ? value.split(';', 1)[0]?.trim().toLowerCase() : undefined;
  if (type === 'application/json') return 'json';
  return type === 'application/x-www-form-urlencoded' ? 'form' : null;
};

export const readWebhookHeaders = (headers: WebhookHeaders): WebhookEnvelope => {
  const guid = single(headers, 'x-github-delivery', /^[0-9A-Za-z-]{1,64}$/);
  if (guid === null) return refused('header', 'X-GitHub-Delivery is missing, or is no GUID');
  const eventName = single(headers, 'x-github-event', /^[a-z_]{1,64}$/);
  if (eventName === null) return refused('header', 'X-GitHub-Event is missing, or is no name of an event');
  const encoding = readEncoding(headers);
  if (encoding === null) {
    return refused('media-type', 'send application/json, or application/x-www-form-urlencoded');
  }
  // GitHub Enterprise Server may leave it out: then one GUID is one delivery.
  const target = single(headers, 'x-github-hook-installation-target-id', /^\d{1,15}$/) ?? '';
  const isApp = headers['x-github-hook-installation-target-type'] === 'integration';
  return {
    kind: 'envelope',
    deliveryId: target === '' ? guid : `${guid}:${target}`,
    eventName,
    appId: isApp && target !== '' ? Number(target) : null,
    encoding,
  };
};
