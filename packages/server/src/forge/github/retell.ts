// What GitHub could not bring to us is sent once more: comments, reviews and buttons, which nobody finds by looking.
import type { Retold } from '../hosted-forge.ts';
import type { GithubClient } from './github-client.ts';
import { GithubError } from './github-error.ts';
import { listRetellable, redeliver } from './hook-deliveries.ts';

/** Of one app at one time. */
const mostAtOnce = 100;
/** More than fail in the three days for which GitHub keeps them; then it begins to forget, and may ask twice. */
const mostRemembered = 10_000;

export interface Retelling {
  /** Of each app, as the app. */
  readonly appClients: readonly GithubClient[];
  readonly sinceMs: number;
  readonly signal: AbortSignal;
}

/** An app without a hook has no deliveries; what is gone by now cannot be sent. */
const unlessRefused = async <T>(call: Promise<T>, instead: T): Promise<T> => {
  try {
    return await call;
  } catch (error) {
    if (error instanceof GithubError && !error.mayPass) return instead;
    throw error;
  }
};

/** Remembers what it asked for: it takes GitHub a while to tell of that try. */
export const createRetelling = (): ((retelling: Retelling) => Promise<Retold>) => {
  const asked = new Set<string>();
  return async ({ appClients, sinceMs, signal }) => {
    let told = 0;
    let left = 0;
    let isUnproven = false;
    for (const client of appClients) {
      const found = await unlessRefused(listRetellable(client, sinceMs, signal), {
        deliveries: [],
        isUnproven: false,
      });
      isUnproven ||= found.isUnproven;
      const wanted = found.deliveries.filter(({ guid }) => !asked.has(guid));
      for (const delivery of wanted.slice(0, mostAtOnce)) {
        // Before it is sent: a second time is worse than none.
        asked.add(delivery.guid);
        told += await unlessRefused(
          redeliver(client, delivery, signal).then(() => 1),
          0,
        );
      }
      left += Math.max(0, wanted.length - mostAtOnce);
    }
    if (asked.size > mostRemembered) asked.clear();
    return { asked: told, left, isUnproven };
  };
};
