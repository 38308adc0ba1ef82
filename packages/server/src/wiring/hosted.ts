// What hosted forges tell: webhooks become rows, and rows become changes.

import type { WebhookDeps } from '../http/webhook-deps.ts';
import { createWebhookMetrics } from '../http/webhook-metrics.ts';
import type { Logger } from '../lib/logger.ts';
import type { DeliveryLine } from '../pipeline/delivery-line.ts';
import type { HostedIntakeEvent } from '../pipeline/hosted/hosted-event.ts';
import { createHostedIntake, type HostedIntake } from '../pipeline/hosted-intake.ts';
import type { MergeDesk } from '../pipeline/merging/merge-desk.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import type { Reporter } from '../pipeline/report/reporter.ts';
import type { Asking } from './asking.ts';
import type { Opened, ServerFacts, ServerParts } from './server-parts.ts';

const sayEvent = (logger: Logger, event: HostedIntakeEvent): void => {
  switch (event.kind) {
    case 'processed':
      return logger.debug('a forge told something', { ...event });
    case 'renamed':
      return logger.warn('a repository has another name: its changes go on under it', { ...event });
    case 'set-aside':
      return logger.warn('another repository has this name now: what was kept under it is set aside', {
        ...event,
      });
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
    case 'retold':
      if (event.isUnproven) {
        return logger.warn(
          'a forge is not asked to tell once more what did not arrive: its webhooks are refused here; compare both webhook secrets',
          { host: event.host },
        );
      }
      return logger.info('a forge tells once more what did not arrive', {
        ...{ host: event.host, asked: event.asked, left: event.left },
      });
    case 'not-retold':
      return logger.warn('a forge could not be asked to tell once more what did not arrive', {
        host: event.host,
        err: event.error,
      });
    case 'database-fault':
      return logger.error('the database does not answer: what forges told waits', { err: event.error });
  }
};

/** Of events by which we may do more than before. */
const accessKinds: ReadonlySet<string> = new Set([
  'access-given',
  'access-resumed',
  'access-rights-changed',
  'repositories-changed',
]);

export interface Hosted {
  readonly intake: HostedIntake;
  /** For the HTTP app; null where there is no such forge. */
  readonly webhooks: WebhookDeps | null;
}

export const openHosted = (
  { database, visibility }: ServerParts,
  { options, deps, forges }: Opened,
  {
    facts,
    deliveries,
    reporter,
    asking,
    merges,
    rights,
  }: {
    readonly facts: ServerFacts;
    readonly deliveries: DeliveryLine;
    readonly reporter: Reporter;
    readonly asking: Asking;
    readonly merges: Pick<MergeDesk, 'wake'>;
    readonly rights: Pick<ChangeRights, 'forget'>;
  },
): Hosted => {
  const logger = deps.loggerFor('webhooks');
  const metrics = createWebhookMetrics(() => intake.counts());
  const intake: HostedIntake = createHostedIntake({
    database: {
      changes: database.changes,
      deliveries,
      repositories: database.repositories,
      checkRuns: database.checkRuns,
    },
    forges,
    baselines: options.baselines,
    clock: Date.now,
    visibility,
    onRightsChanged: (whose) => rights.forget(whose),
    act: asking.act,
    ...(asking.approval !== null && { approval: asking.approval }),
    ...(asking.groupApproval !== null && { groupApproval: asking.groupApproval }),
    onTaken({ queued, awaiting, ended }) {
      facts.loop?.cancel(ended);
      reporter.queued(queued);
      reporter.awaiting(awaiting);
      reporter.ended(ended);
      merges.wake();
      facts.loop?.wake();
      facts.counts.refresh();
    },
    onEvent(event) {
      sayEvent(logger, event);
      metrics.told(event);
      if (event.kind === 'processed' && accessKinds.has(event.event)) reporter.accessChanged(event.host);
    },
  });
  const onReceived: WebhookDeps['onReceived'] = (delivery) => intake.take(delivery);
  const webhooks = { forges, deliveries, onReceived, metrics, logger, clock: Date.now };
  return { intake, webhooks: forges.length === 0 ? null : webhooks };
};
