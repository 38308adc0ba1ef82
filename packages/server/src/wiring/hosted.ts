// What hosted forges tell: webhooks become rows, and rows become changes.

import type { WebhookDeps } from '../http/webhook-deps.ts';
import { createWebhookMetrics } from '../http/webhook-metrics.ts';
import type { Logger } from '../lib/logger.ts';
import type { DeliveryLine } from '../pipeline/delivery-line.ts';
import type { HostedIntakeEvent } from '../pipeline/hosted/hosted-event.ts';
import { createHostedIntake, type HostedIntake } from '../pipeline/hosted-intake.ts';
import type { Reporter } from '../pipeline/report/reporter.ts';
import type { Opened, ServerFacts, ServerParts } from './server-parts.ts';

const sayEvent = (logger: Logger, event: HostedIntakeEvent): void => {
  switch (event.kind) {
    case 'processed':
      return logger.debug('a forge told something', { ...event });
    case 'renamed':
      return logger.warn('a repository has another name: its changes begin anew under it', { ...event });
    case 'passing-fault':
      return logger.warn('a forge could not be asked: it is tried again', {
        host: event.host,
        what: event.what,
        err: event.error,
      });
    case 'given-up':
      return logger.error('what a forge told could not be carried out', {
        ...{ host: event.host, what: event.what, deliveries: event.deliveries },
        err: event.error,
      });
    case 'unreadable':
      return logger.error('what a forge told cannot be read any more: it is given up', {
        key: event.key,
        err: event.error,
      });
    case 'not-served':
      return logger.warn('what a forge told is of a repository that is not served any more', {
        key: event.key,
      });
    case 'swept':
      return logger.debug('a forge was compared with what is known of it', { ...event });
    case 'sweep-failed':
      return logger.warn('a forge could not be compared with what is known of it', {
        ...{ host: event.host, failures: event.failures },
        err: event.error,
      });
    case 'database-fault':
      return logger.error('the database does not answer: what forges told waits', { err: event.error });
  }
};

export interface Hosted {
  readonly intake: HostedIntake;
  /** For the HTTP app; null where there is no such forge. */
  readonly webhooks: WebhookDeps | null;
}

export const openHosted = (
  { database }: ServerParts,
  { options, deps, forges }: Opened,
  {
    facts,
    deliveries,
    reporter,
  }: { readonly facts: ServerFacts; readonly deliveries: DeliveryLine; readonly reporter: Reporter },
): Hosted => {
  const logger = deps.loggerFor('webhooks');
  const metrics = createWebhookMetrics(() => intake.counts());
  const intake: HostedIntake = createHostedIntake({
    database: { changes: database.changes, deliveries },
    forges,
    baselines: options.baselines,
    clock: Date.now,
    onTaken({ queued, ended }) {
      facts.loop?.cancel(ended);
      reporter.queued(queued);
      reporter.ended(ended);
      facts.loop?.wake();
      facts.counts.refresh();
    },
    onEvent(event) {
      sayEvent(logger, event);
      metrics.told(event);
    },
  });
  const onReceived: WebhookDeps['onReceived'] = (delivery) => intake.take(delivery);
  const webhooks = { forges, deliveries, onReceived, metrics, logger, clock: Date.now };
  return { intake, webhooks: forges.length === 0 ? null : webhooks };
};
