// What happens to that which hosted forges told: the events of their intake, for log and metrics.

import type { Retold } from '../../forge/hosted-forge.ts';

/** not-acted-on: it was understood, and nothing here follows from it. */
export type ProcessedOutcome = 'applied' | 'unchanged' | 'noted' | 'not-acted-on' | 'given-up';

export type HostedIntakeEvent =
  | {
      readonly kind: 'processed';
      readonly host: string;
      /** The kind of our event, one of few. */
      readonly event: string;
      readonly outcome: ProcessedOutcome;
      /** Since it was received; after a restart by another clock. */
      readonly tookMs: number;
      readonly key: string;
    }
  | {
      readonly kind: 'renamed';
      readonly host: string;
      readonly repository: string;
      readonly oldName: string;
    }
  /** Another repository has its name now: what was kept of it is nobody's to see, until it is seen again. */
  | {
      readonly kind: 'set-aside';
      readonly host: string;
      readonly repositoryId: number;
      /** That it had. */
      readonly name: string;
    }
  /** Tried again, not before `pauseMs` have passed. */
  | {
      readonly kind: 'passing-fault';
      readonly host: string;
      readonly what: string;
      readonly error: unknown;
    }
  /** Somebody has to do something; until then a sweep may find the same again. */
  | {
      readonly kind: 'given-up';
      readonly host: string;
      readonly what: string;
      readonly error: unknown;
      /** Deliveries that asked for it. */
      readonly deliveries: number;
    }
  /** The row is of another version, or of a forge that is not served any more. It is done. */
  | { readonly kind: 'unreadable'; readonly key: string; readonly error: unknown }
  | { readonly kind: 'not-served'; readonly key: string }
  | {
      readonly kind: 'swept';
      readonly host: string;
      readonly repositories: number;
      /** What was not as it was known here. */
      readonly differences: number;
      readonly tookMs: number;
    }
  | {
      readonly kind: 'sweep-failed';
      readonly host: string;
      readonly error: unknown;
      readonly failures: number;
      readonly pauseMs: number;
    }
  /** What could not be brought here is told once more. */
  | ({ readonly kind: 'retold'; readonly host: string } & Retold)
  /** It is asked for after the next sweep. */
  | { readonly kind: 'not-retold'; readonly host: string; readonly error: unknown }
  | { readonly kind: 'database-fault'; readonly error: unknown };
