// The shared graph in the words of the server's log.
import type { Logger } from '../../lib/logger.ts';
import type { GraphEvent } from './shared-graph.ts';

export const createGraphLog =
  (logger: Logger) =>
  (event: GraphEvent): void => {
    const { kind, ...facts } = event;
    switch (kind) {
      case 'filling':
        return logger.info(
          'the derivation graph in memory is more than four fifths full: soon what is used least will be read again ' +
            'when it is asked for. graph_lru_capacity says how many nodes it holds',
          facts,
        );
      case 'overfull':
        return logger.warn(
          'the changes that are being judged need more of the derivation graph than graph_lru_capacity: it grows',
          facts,
        );
      case 'reloaded':
        return logger.debug('read derivations again from the database', facts);
      case 'evicted':
        return logger.debug('forgot derivations that nobody uses', facts);
    }
  };
