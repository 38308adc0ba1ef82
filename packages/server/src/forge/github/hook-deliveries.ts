// Webhooks of ours that did not arrive: GitHub keeps them for three days, and sends one again where it is asked to.
import { z } from 'zod';
import { apiPath, withQuery } from './api-path.ts';
import type { GithubClient } from './github-client.ts';
import { Moment } from './github-schema.ts';
import { type PagedList, perPage, readPages } from './pages.ts';
import { isUnderstood } from './webhook-events.ts';

export interface FailedDelivery {
  /** Of this try: a decimal number that JavaScript cannot hold. */
  readonly id: string;
  /** Of the event, kept when it is sent again. */
  readonly guid: string;
  readonly eventName: string;
  readonly triedAtMs: number;
}

const Delivery = z.object({
  id: z.union([z.int(), z.bigint()]).transform(String),
  guid: z.string().min(1).max(100),
  delivered_at: Moment,
  status_code: z.int(),
  event: z.string().max(100),
  action: z.string().max(100).nullish(),
  /** Somebody asked for this try. */
  redelivery: z.boolean().optional(),
});
type Delivery = z.output<typeof Delivery>;

/** Where nobody answered the code is 0. */
const arrived = ({ status_code: status }: Delivery): boolean => status >= 200 && status < 400;

/** Of each event that never arrived the last try; oldest first. Pure. */
export const pickFailed = (deliveries: readonly Delivery[], sinceMs: number): FailedDelivery[] => {
  const lastTries = new Map<string, Delivery>();
  const done = new Set<string>();
  for (const one of deliveries) {
    if (arrived(one)) done.add(one.guid);
    const last = lastTries.get(one.guid);
    if (last === undefined || last.delivered_at < one.delivered_at) lastTries.set(one.guid, one);
  }
  return [...lastTries.values()]
    .filter(({ guid, delivered_at: atMs }) => !done.has(guid) && atMs >= sinceMs)
    .map((one) => ({ id: one.id, guid: one.guid, eventName: one.event, triedAtMs: one.delivered_at }))
    .toSorted((one, other) => one.triedAtMs - other.triedAtMs);
};

const listDeliveries = async (
  appClient: GithubClient,
  sinceMs: number,
  signal?: AbortSignal,
): Promise<PagedList<Delivery>> =>
  await readPages(
    appClient,
    {
      operation: 'deliveries.list',
      method: 'GET',
      path: withQuery(apiPath('app', 'hook', 'deliveries'), { per_page: perPage }),
      schema: z.array(Delivery),
      exactIntegers: true,
    },
    // Newest first.
    { mostPages: 100, isEnough: (page) => page.some(({ delivered_at: atMs }) => atMs < sinceMs), signal },
  );

/**
 * Those of the app's own hook since then that no try brought to us.
 * @param appClient as the app, not as an installation
 */
export const listFailedDeliveries = async (
  appClient: GithubClient,
  sinceMs: number,
  signal?: AbortSignal,
): Promise<PagedList<FailedDelivery>> => {
  const { items, isComplete } = await listDeliveries(appClient, sinceMs, signal);
  return { items: pickFailed(items, sinceMs), isComplete };
};

/** With these we say that the same would not be taken another time either. */
const refusedForGood = new Set([400, 413, 415]);
/** Whatever they tell is found by a look at what there is. */
const seenAnyway = new Set(['ping', 'push', 'pull_request', 'create', 'delete']);

export interface Retellable {
  /** Oldest first. */
  readonly deliveries: readonly FailedDelivery[];
  /** The newest was refused because it proved nothing: our secret is not the app's, and nothing would be taken. */
  readonly isUnproven: boolean;
}

/** Failed ones that are worth another try, of which none was asked for yet. Pure. */
export const pickRetellable = (deliveries: readonly Delivery[], sinceMs: number): Retellable => {
  const [newest] = deliveries.toSorted((one, other) => other.delivered_at - one.delivered_at);
  const isUnproven = newest?.status_code === 401;
  const askedFor = new Set(deliveries.flatMap(({ guid, redelivery }) => (redelivery === true ? [guid] : [])));
  // Beside them there are many more that nobody here has a use for.
  const isWanted = new Set(
    deliveries.flatMap(({ guid, event, action }) => (isUnderstood(event, action) ? [guid] : [])),
  );
  const isHopeless = new Set(
    deliveries.flatMap(({ guid, status_code: status }) => (refusedForGood.has(status) ? [guid] : [])),
  );
  const worthIt = pickFailed(deliveries, sinceMs).filter(
    ({ guid, eventName }) =>
      isWanted.has(guid) && !askedFor.has(guid) && !isHopeless.has(guid) && !seenAnyway.has(eventName),
  );
  return { deliveries: isUnproven ? [] : worthIt, isUnproven };
};

/** @param appClient as the app, not as an installation */
export const listRetellable = async (
  appClient: GithubClient,
  sinceMs: number,
  signal?: AbortSignal,
): Promise<Retellable> => {
  const { items } = await listDeliveries(appClient, sinceMs, signal);
  return pickRetellable(items, sinceMs);
};

/** Has GitHub send it again; it arrives with the same delivery id, so that a second one changes nothing. */
export const redeliver = async (
  appClient: GithubClient,
  { id }: Pick<FailedDelivery, 'id'>,
  signal?: AbortSignal,
): Promise<void> => {
  await appClient.call(
    {
      operation: 'deliveries.redeliver',
      method: 'POST',
      path: apiPath('app', 'hook', 'deliveries', id, 'attempts'),
      schema: z.unknown(),
      repeat: 'always',
    },
    signal,
  );
};
