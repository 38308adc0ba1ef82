// Webhooks of ours that did not arrive: GitHub keeps them for three days, and sends one again where it is asked to.
import { z } from 'zod';
import { apiPath, withQuery } from './api-path.ts';
import type { GithubClient } from './github-client.ts';
import { Moment } from './github-schema.ts';
import { type PagedList, perPage, readPages } from './pages.ts';

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

/**
 * Those of the app's own hook since then that no try brought to us.
 * @param appClient as the app, not as an installation
 */
export const listFailedDeliveries = async (
  appClient: GithubClient,
  sinceMs: number,
  signal?: AbortSignal,
): Promise<PagedList<FailedDelivery>> => {
  const { items, isComplete } = await readPages(
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
  return { items: pickFailed(items, sinceMs), isComplete };
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
