// What hosted forges are shown of their changes: gates are kept as rows, and sent from there.

import type { Logger } from '../lib/logger.ts';
import { type GateSender, type GateSenderEvent, startGateSender } from '../pipeline/report/gate-sender.ts';
import { createReporter, type Reporter } from '../pipeline/report/reporter.ts';
import type { Opened, ServerParts } from './server-parts.ts';

const sayEvent = (logger: Logger, event: GateSenderEvent): void => {
  if (event.kind === 'database-fault') {
    return logger.error('the database does not answer: gates wait', { err: event.error });
  }
  const { host, repository, headSha, name } = event.gate;
  const gate = { host, repository, head: headSha.slice(0, 12), gate: name };
  switch (event.kind) {
    case 'sent':
      return logger.debug('a gate is shown', gate);
    case 'put-off':
      return logger.warn('a gate could not be shown yet', { ...gate, err: event.error });
    case 'given-up':
      return logger.error('a gate cannot be shown', { ...gate, err: event.error });
  }
};

export interface Reporting {
  readonly reporter: Reporter;
  /** Begins to send, and shows what an earlier life left unfinished. @throws DatabaseError */
  start(): Promise<void>;
  /** What was told by then is kept. Idempotent. */
  stop(): Promise<void>;
}

/** @param owner this server's name in the rows that it claims */
export const openReporting = (
  { database }: ServerParts,
  { options, deps, forges }: Opened,
  owner: string,
): Reporting => {
  const logger = deps.loggerFor('forge');
  let sender: GateSender | null = null;
  const reporter = createReporter({
    database,
    hosts: forges.map(({ host }) => host),
    publicUrl: options.publicUrl,
    clock: Date.now,
    wake: () => sender?.wake(),
    onFault: (err) => logger.error('what a forge is to be shown could not be kept', { err }),
  });
  return {
    reporter,
    async start() {
      if (forges.length === 0) return;
      await database.gates.releaseAll(owner);
      sender = startGateSender({
        database,
        forges,
        owner,
        clock: Date.now,
        random: Math.random,
        onEvent: (event) => sayEvent(logger, event),
      });
      await reporter.reconcile();
    },
    async stop() {
      await reporter.settled();
      await sender?.stop();
    },
  };
};
