// Events that ask for something: people who comment, review and press buttons, and a forge's own runs.
import type { StoredChange } from '../../database/database.ts';
import type { EventRepository, ForgeRepositoryEvent } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { ProcessedOutcome } from './hosted-event.ts';
import type { HostedTaken } from './hosted-taken.ts';

const actKinds = [
  'comment-created',
  'review-submitted',
  'review-dismissed',
  'gate-action',
  'outside-run-held',
  'outside-run-goes-on',
] as const;

export type ActEvent = Extract<ForgeRepositoryEvent, { kind: (typeof actKinds)[number] }>;

export interface ActContext {
  readonly forge: HostedForge;
  readonly signal: AbortSignal;
  /** Asks the forge how the change is now, and keeps that. @returns its newest row; null where there is none */
  lookAt(repository: EventRepository, number: number): Promise<StoredChange | null>;
  /** Changes that wait to be judged, or are not wanted any more, by what was done. */
  taken(taken: HostedTaken): void;
}

/**
 * Carries out one of them. Idempotent: after a fault that may pass, or a crash, it is asked again.
 * @throws HostedForgeFault, DatabaseError
 */
export type Act<Event extends ActEvent = ActEvent> = (
  event: Event,
  context: ActContext,
) => Promise<ProcessedOutcome>;

/** By kind; what is not among them is not acted on. */
export type Acts = { readonly [Kind in ActEvent['kind']]?: Act<Extract<ActEvent, { kind: Kind }>> };

export const actBy =
  (acts: Acts): Act =>
  async (event, context) => {
    // Each takes events of its own kind alone: the type of the table says so, but not of a lookup in it.
    const act = acts[event.kind] as Act | undefined;
    return act === undefined ? 'not-acted-on' : act(event, context);
  };
