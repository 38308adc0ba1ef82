// Live events of one resource over as many connections as it takes: a server that restarts is waited for.
import type { LiveEvent, Resource } from '@eka-ci/protocol/live';
import { ClientError } from '../client/client-error.ts';
import type { Endpoint } from '../client/find-server.ts';
import { openLive } from '../client/live.ts';
import { backOff, isPassing } from './passing-fault.ts';

export interface EventFollower {
  /** A subscription stands, for the first time or again: what happened before it must be asked for. */
  onSubscribed(): Promise<FollowStep>;
  onEvent(event: LiveEvent): Promise<FollowStep>;
  /** The connection is lost; it is tried again. */
  onLost(): void;
}

/** Whether there is more to follow. */
export type FollowStep = 'go-on' | 'end';

const takeEvent = (follower: EventFollower, event: LiveEvent): Promise<FollowStep> => {
  if (event.type === 'subscribed') return follower.onSubscribed();
  if (event.type === 'error') throw new ClientError('SERVER_REFUSED', `${event.code}: ${event.message}`);
  return follower.onEvent(event);
};

export interface Following {
  readonly endpoint: Endpoint;
  readonly resource: Resource;
  /** When it aborts, that is the end. */
  readonly signal?: AbortSignal;
}

const followOnce = async (
  { endpoint, resource, signal }: Following,
  follower: EventFollower,
): Promise<void> => {
  const connection = await openLive(endpoint, signal);
  const close = (): void => connection.close();
  signal?.addEventListener('abort', close);
  try {
    if (signal?.aborted === true) return;
    connection.send({ type: 'subscribe', ...resource });
    for await (const event of connection.events) {
      if ((await takeEvent(follower, event)) === 'end') return;
    }
  } finally {
    signal?.removeEventListener('abort', close);
    close();
  }
};

/**
 * Resolves when the follower has seen the end, or the signal aborts.
 * @throws ClientError where the first connection cannot be had, and for what waiting does not mend; what the follower
 *   throws
 */
export const followEvents = async (following: Following, follower: EventFollower): Promise<void> => {
  const isAborted = (): boolean => following.signal?.aborted === true;
  let failures = 0;
  let isKnown = false;
  const watched: EventFollower = {
    onEvent: (event) => follower.onEvent(event),
    onLost: () => follower.onLost(),
    onSubscribed: async () => {
      const step = await follower.onSubscribed();
      isKnown = true;
      failures = 0;
      return step;
    },
  };
  for (;;) {
    try {
      return await followOnce(following, watched);
    } catch (error) {
      if (isAborted()) return;
      if (!isKnown || !isPassing(error)) throw error;
      failures += 1;
      if (failures === 1) follower.onLost();
    }
    await backOff(failures, following.signal);
    if (isAborted()) return;
  }
};
