// Asks a server again and again how all of it stands, no oftener than it answers with ease.
import { setTimeout as sleep } from 'node:timers/promises';
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { Builders } from '@eka-ci/protocol/builder';
import { ActiveChanges } from '@eka-ci/protocol/change';
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { backOff, isPassing } from '../live/passing-fault.ts';
import type { ServerFacts } from './watch-state.ts';

const Status = ServerStatus.pick({ draining: true, ready: true, warnings: true });

const intervalMs = 1000;
/** It looks at disks for it, and changes seldom. */
const statusEvery = 5;
/** As many as a large screen shows. */
const queueShown = 60;
const changesShown = 100;
/** Of the time, asking takes no more than one part in so many. */
const restPerWork = 4;

/** @throws ClientError */
export const readServer = async (
  { get }: Client,
  status: ServerFacts['status'] | null = null,
): Promise<ServerFacts> => {
  const [{ builds }, queue, { builders }, open] = await Promise.all([
    get('/v1/builds/active', ActiveBuilds),
    get(`/v1/builds/queue?limit=${queueShown}`, BuildQueue),
    get('/v1/builders', Builders),
    get(`/v1/prs/active?limit=${changesShown}`, ActiveChanges),
  ]);
  return { active: builds, queue, builders, open, status: status ?? (await get('/v1/status', Status)) };
};

/** Something is wrong with it now; that is what is watched for. */
const isServerFault = (error: unknown): boolean =>
  error instanceof ClientError &&
  error.code === 'SERVER_REFUSED' &&
  error.message.startsWith('SERVER_FAULT: ');

export interface PollUser {
  onAnswer(facts: ServerFacts): void;
  onSilence(): void;
}

const rest = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};

/** Resolves when the signal aborts. @throws ClientError for what waiting does not mend */
export const pollServer = async (client: Client, user: PollUser, signal: AbortSignal): Promise<void> => {
  let failures = 0;
  let status: ServerFacts['status'] | null = null;
  for (let turn = 0; !signal.aborted; turn++) {
    const startedMs = performance.now();
    try {
      const facts: ServerFacts = await readServer(client, turn % statusEvery === 0 ? null : status);
      status = facts.status;
      failures = 0;
      if (!signal.aborted) user.onAnswer(facts);
    } catch (error) {
      if (!isPassing(error) && !isServerFault(error)) throw error;
      failures += 1;
      status = null;
      if (!signal.aborted) user.onSilence();
    }
    const tookMs = performance.now() - startedMs;
    await (failures === 0
      ? rest(Math.max(intervalMs, restPerWork * tookMs), signal)
      : backOff(failures, signal));
  }
};
