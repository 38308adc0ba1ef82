// Has a forge tell once more what it could not bring here: comments and buttons, which no listing shows.
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { HostedIntakeEvent } from './hosted-event.ts';

export interface RetellingDeps {
  readonly forge: Pick<HostedForge, 'host' | 'retell'>;
  readonly onEvent: (event: HostedIntakeEvent) => void;
}

export interface Retelling {
  /** From where it left off the last time that it went well. Does not reject: a fault is told of. */
  ask(nowMs: number, signal: AbortSignal): Promise<void>;
}

/** What somebody wanted longer ago is not done as if they wanted it now. */
const longestMs = 24 * 60 * 60_000;
/** A forge tries for a while before it says that it failed. */
const overlapMs = 30 * 60_000;

export const createRetelling = ({ forge, onEvent }: RetellingDeps): Retelling => {
  const { host } = forge;
  let doneMs = 0;
  return {
    async ask(nowMs, signal) {
      try {
        const retold = await forge.retell(Math.max(doneMs, nowMs - longestMs), signal);
        if (retold.asked > 0 || retold.isUnproven) onEvent({ kind: 'retold', host, ...retold });
        if (retold.left === 0 && !retold.isUnproven) doneMs = nowMs - overlapMs;
      } catch (error) {
        if (!signal.aborted) onEvent({ kind: 'not-retold', host, error });
      }
    },
  };
};
