// Sends deliveries as GitHub does: signed, one after the other for each app, kept in a log, and wrong where asked for.
import { createHmac, randomUUID } from 'node:crypto';
import type { App, Delivery } from '../state/entities.ts';
import { mustGet, type Occurrence } from '../state/world.ts';
import { addressOccurrence, type PayloadDeps } from './payload.ts';

/**
 * `drop`: the receiver cannot be reached, as the log says. `lose`: nothing is sent and nothing is in the log.
 * `hold`: kept until it is released. `double`: each goes out twice, with one id.
 */
export type OutboxMode = 'deliver' | 'double' | 'drop' | 'hold' | 'lose' | 'wrongSecret';

interface Parcel {
  readonly id: number;
  readonly guid: string;
  readonly appId: number;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly payload: string;
  readonly redelivery: boolean;
}

export interface HeldParcel {
  readonly id: number;
  readonly event: string;
  readonly action: string | null;
}

export interface Outbox {
  publish(occurrence: Occurrence): void;
  setMode(mode: OutboxMode): void;
  listHeld(): readonly HeldParcel[];
  /** Sends what was held, in the order of these ids; all that is held where there are none. */
  release(ids: readonly number[] | null): void;
  readonly redeliver: (delivery: Delivery) => void;
  /** Resolves when everything that was to be sent has been answered or has failed. */
  settled(): Promise<void>;
}

const sign = (secret: string, body: string, algorithm: 'sha1' | 'sha256'): string =>
  `${algorithm}=${createHmac(algorithm, secret).update(body).digest('hex')}`;

const headersOf = (
  app: App,
  parcel: Parcel,
  body: string,
  secret: string | null,
): Record<string, string> => ({
  accept: '*/*',
  'content-type': app.hookContentType === 'json' ? 'application/json' : 'application/x-www-form-urlencoded',
  'user-agent': 'GitHub-Hookshot/fa4e000',
  'x-github-delivery': parcel.guid,
  'x-github-event': parcel.event,
  'x-github-hook-id': `${app.hookId}`,
  'x-github-hook-installation-target-id': `${app.id}`,
  'x-github-hook-installation-target-type': 'integration',
  ...(secret === null
    ? {}
    : {
        'x-hub-signature': sign(secret, body, 'sha1'),
        'x-hub-signature-256': sign(secret, body, 'sha256'),
      }),
});

type Outcome = Pick<Delivery, 'responseBody' | 'responseHeaders' | 'status' | 'statusCode'>;

const unreachable: Outcome = {
  status: 'failed to connect to host',
  statusCode: 502,
  responseHeaders: {},
  responseBody: '',
};

/** Never rejects: what goes wrong is an outcome. */
const post = async (
  url: string,
  {
    headers,
    body,
    timeoutMs,
  }: { readonly headers: Record<string, string>; readonly body: string; readonly timeoutMs: number },
): Promise<Outcome> => {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
    const text = await answer.text();
    return {
      status: answer.ok ? 'OK' : `Invalid HTTP Response: ${answer.status}`,
      statusCode: answer.status,
      responseHeaders: Object.fromEntries(answer.headers),
      responseBody: text.slice(0, 65_536),
    };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    return timedOut ? { ...unreachable, status: 'timed out', statusCode: 504 } : unreachable;
  }
};

export const createOutbox = (deps: PayloadDeps & { readonly timeoutMs: number }): Outbox => {
  const { world, timeoutMs } = deps;
  let mode: OutboxMode = 'deliver';
  let held: readonly Parcel[] = [];
  const lines = new Map<number, Promise<void>>();

  const keep = (
    parcel: Parcel,
    app: App,
    sent: Outcome & { readonly headers: Record<string, string>; readonly startedAtMs: number },
  ): void => {
    const { headers, startedAtMs, ...outcome } = sent;
    const { id: _id, ...described } = parcel;
    const id = world.nextId();
    world.deliveries.set(id, {
      id,
      ...described,
      ...outcome,
      deliveredAtMs: world.clock.now(),
      duration: (world.clock.now() - startedAtMs) / 1000,
      url: app.hookUrl ?? '',
      requestHeaders: headers,
    });
  };

  const send = async (parcel: Parcel, how: OutboxMode): Promise<void> => {
    const app = mustGet(world.apps, parcel.appId);
    if (app.hookUrl === null) return;
    const body =
      app.hookContentType === 'json'
        ? parcel.payload
        : new URLSearchParams({ payload: parcel.payload }).toString();
    const secret = how === 'wrongSecret' ? 'not the secret' : app.hookSecret;
    const headers = headersOf(app, parcel, body, secret);
    const startedAtMs = world.clock.now();
    const outcome = how === 'drop' ? unreachable : await post(app.hookUrl, { headers, body, timeoutMs });
    keep(parcel, app, { ...outcome, headers, startedAtMs });
  };

  const enqueue = (parcel: Parcel, how: OutboxMode): void => {
    const before = lines.get(parcel.appId) ?? Promise.resolve();
    lines.set(
      parcel.appId,
      before.then(() => send(parcel, how)),
    );
  };

  const handle = (parcel: Parcel): void => {
    switch (mode) {
      case 'lose':
        return;
      case 'hold':
        held = [...held, parcel];
        return;
      case 'double':
        enqueue(parcel, mode);
        enqueue(parcel, mode);
        return;
      case 'deliver':
      case 'drop':
      case 'wrongSecret':
        enqueue(parcel, mode);
    }
  };

  return {
    publish: (occurrence) => {
      // One id for all apps that hear of it, as GitHub has one for all hooks.
      const guid = randomUUID();
      for (const { app, body, ...about } of addressOccurrence(deps, occurrence)) {
        if (app.hookUrl === null) continue;
        const payload = JSON.stringify(body);
        handle({ ...about, id: world.nextId(), guid, appId: app.id, payload, redelivery: false });
      }
    },
    setMode: (wanted) => {
      mode = wanted;
    },
    listHeld: () => held.map(({ id, event, action }) => ({ id, event, action })),
    release: (ids) => {
      const chosen = ids === null ? held : ids.flatMap((id) => held.filter((one) => one.id === id));
      held = held.filter((parcel) => !chosen.includes(parcel));
      for (const parcel of chosen) enqueue(parcel, 'deliver');
    },
    redeliver: ({ guid, appId, event, action, installationId, repositoryId, payload }) =>
      handle({
        id: world.nextId(),
        guid,
        appId,
        event,
        action,
        installationId,
        repositoryId,
        payload,
        redelivery: true,
      }),
    settled: async () => {
      for (let before: Promise<void>[] = []; ; ) {
        const now = [...lines.values()];
        if (now.every((line, index) => line === before[index]) && now.length === before.length) return;
        before = now;
        await Promise.all(now);
      }
    },
  };
};
