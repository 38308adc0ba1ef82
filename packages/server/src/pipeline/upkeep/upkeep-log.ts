// What keeps the server in order, in the words of its log: disks, retention, draining.
import type { Logger } from '../../lib/logger.ts';
import type { CompressionEvent } from '../builds/log-compression.ts';
import type { DiskEvent } from './disk-guard.ts';
import type { RetentionEvent } from './retention.ts';

export const createDiskLog =
  (logger: Logger) =>
  (event: DiskEvent): void => {
    switch (event.kind) {
      case 'short':
        return logger.warn(`no build and no evaluation begins: ${event.reason}`, { disks: event.readings });
      case 'room-again':
        return logger.info('the disks have room again: builds and evaluations begin');
      case 'unreadable': {
        const { place, fault } = event;
        return logger.warn('the free space of a disk cannot be read: it holds nothing back', {
          ...place,
          fault,
        });
      }
    }
  };

const day = (timeMs: number): string => new Date(timeMs).toISOString();

export const createRetentionLog =
  (logger: Logger) =>
  (event: RetentionEvent): void => {
    switch (event.kind) {
      case 'swept': {
        const removed = Object.fromEntries(Object.entries(event.removed).filter(([, count]) => count > 0));
        if (Object.keys(removed).length > 0) logger.info('removed what is older than it is kept', removed);
        return;
      }
      case 'fault':
        return logger.warn(
          'some of what is older than it is kept cannot be removed; the next sweep tries again',
          {
            part: event.part,
            err: event.error,
          },
        );
      case 'clock-ahead':
        return logger.warn(
          'the clock is far ahead of the last sweep: only a day more of old things is removed with each. Look at the clock; after a long pause this is as it should be',
          { clock: day(event.wallMs), sweep: day(event.sweepMs) },
        );
    }
  };

export const createCompressionLog =
  (logger: Logger) =>
  (event: CompressionEvent): void => {
    switch (event.kind) {
      case 'compressed': {
        const { file, textBytes, sizeBytes } = event;
        return logger.debug('compressed a log', { file, textBytes, sizeBytes });
      }
      case 'fault':
        return logger.warn('a log stays as it is: it cannot be compressed', {
          file: event.file,
          err: event.error,
        });
    }
  };
