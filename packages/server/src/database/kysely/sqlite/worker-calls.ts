// The caller's side of the database's thread: any call becomes a message, any reply settles its promise.
import type { Worker } from 'node:worker_threads';
import { DatabaseError } from '../../database-error.ts';
import type { Calls } from '../calls.ts';
import { readError, transfersOf, type WorkerReply, type WorkerRequest } from './worker-messages.ts';

type Waiting = PromiseWithResolvers<unknown>;

export interface WorkerCalls {
  readonly calls: Calls;
  /** Resolves when the database is open. */
  readonly opened: Promise<void>;
  readonly close: () => Promise<void>;
}

const closedError = (): DatabaseError =>
  new DatabaseError('DATABASE_CLOSED', 'the database is closed: open it again before using it');

/** Methods are found by name on the other side, so that a new call needs no line here. */
const proxyCalls = (
  send: (aggregate: string, method: string, args: readonly unknown[]) => unknown,
): Calls => {
  const aggregates = new Map<string, object>();
  const aggregateOf = (aggregate: string): object => {
    const known = aggregates.get(aggregate);
    if (known !== undefined) return known;
    const made = new Proxy(
      {},
      {
        get:
          (_, method) =>
          (...args: unknown[]) =>
            send(aggregate, String(method), args),
      },
    );
    aggregates.set(aggregate, made);
    return made;
  };
  // The thread makes the same `Calls` and finds methods by these names.
  return new Proxy({}, { get: (_, aggregate) => aggregateOf(String(aggregate)) }) as Calls;
};

const threadEndedError = (cause: unknown): DatabaseError => {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  const message = `the database thread ended${reason}: restart the server; what it acknowledged is on disk`;
  return new DatabaseError('DATABASE_FAILED', message, { cause });
};

/** Calls that have no answer yet. */
const createWaitingList = () => {
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  return {
    add: (): { id: number; promise: Promise<unknown> } => {
      const entry = Promise.withResolvers<unknown>();
      const id = nextId++;
      waiting.set(id, entry);
      return { id, promise: entry.promise };
    },
    take: (id: number): Waiting | undefined => {
      const found = waiting.get(id);
      waiting.delete(id);
      return found;
    },
    rejectAll: (error: Error): void => {
      for (const entry of waiting.values()) entry.reject(error);
      waiting.clear();
    },
  };
};

/** @param keepsThread whether `close` leaves the thread to the next database */
export const callsOn = (worker: Worker, { keepsThread = false } = {}): WorkerCalls => {
  const waiting = createWaitingList();
  const opened = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let closing = false;
  let crash: unknown;
  /** Not null once the thread has gone unasked. */
  let lost: DatabaseError | null = null;

  const onMessage = (reply: WorkerReply): void => {
    if (reply.kind === 'opened') opened.resolve();
    else if (reply.kind === 'not-opened') opened.reject(readError(reply.error));
    else if (reply.kind === 'value') waiting.take(reply.id)?.resolve(reply.value);
    else if (reply.kind === 'error') waiting.take(reply.id)?.reject(readError(reply.error));
    else leave();
  };
  const onError = (error: unknown): void => {
    crash = error;
  };
  const onExit = (): void => {
    const error = threadEndedError(crash);
    if (!closing) lost = error;
    closing = true;
    opened.reject(error);
    waiting.rejectAll(error);
    gone.resolve();
  };
  const leave = (): void => {
    worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    gone.resolve();
  };
  worker.on('message', onMessage).on('error', onError).on('exit', onExit);

  const post = (request: WorkerRequest, args: readonly unknown[]): void =>
    worker.postMessage(request, transfersOf(args));
  const send = (aggregate: string, method: string, args: readonly unknown[]): Promise<unknown> => {
    if (closing) return Promise.reject(lost ?? closedError());
    const { id, promise } = waiting.add();
    post({ kind: 'call', id, aggregate, method, args }, args);
    return promise;
  };
  const close = (): Promise<void> => {
    if (!closing) post({ kind: 'close', keepsThread }, []);
    closing = true;
    return gone.promise;
  };
  return { calls: proxyCalls(send), opened: opened.promise, close };
};
