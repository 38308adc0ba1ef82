// Thread: the whole SQLite driver, so that no query ever holds up the server. One message is one transaction;
// they run one after the other, in the order they came.
import { parentPort, workerData } from 'node:worker_threads';
import { DatabaseError } from '../../database-error.ts';
import type { Calls } from '../calls.ts';
import { openSqliteConnection, type SqliteConnection, type SqliteOptions } from './sqlite-connection.ts';
import { databaseErrorOf } from './sqlite-error.ts';
import { transfersOf, type WorkerReply, type WorkerRequest, writeError } from './worker-messages.ts';

const post = (reply: WorkerReply, values: readonly unknown[] = []): void => {
  parentPort?.postMessage(reply, transfersOf(values));
};

interface Opened {
  readonly connection: SqliteConnection;
  readonly path: string;
}

const dispatch = async (
  calls: Calls,
  request: Extract<WorkerRequest, { kind: 'call' }>,
): Promise<unknown> => {
  const aggregate: unknown = Reflect.get(calls, request.aggregate);
  const method: unknown =
    typeof aggregate === 'object' && aggregate !== null ? Reflect.get(aggregate, request.method) : undefined;
  if (typeof method === 'function') return Reflect.apply(method, aggregate, request.args);
  throw new DatabaseError('DATABASE_FAILED', `there is no call ${request.aggregate}.${request.method}`);
};

const answer = async (
  { connection, path }: Opened,
  request: Extract<WorkerRequest, { kind: 'call' }>,
): Promise<void> => {
  try {
    const value = await connection.transaction((calls) => dispatch(calls, request));
    post({ kind: 'value', id: request.id, value }, [value]);
  } catch (error) {
    post({ kind: 'error', id: request.id, error: writeError(databaseErrorOf(error, path)) });
  }
};

const close = ({ connection }: Opened, keepsThread: boolean): void => {
  connection.close();
  if (keepsThread) post({ kind: 'closed' });
  else parentPort?.close();
};

/** Null where it could not be opened, which was told. */
const open = async (options: SqliteOptions): Promise<Opened | null> => {
  try {
    return { connection: await openSqliteConnection(options), path: options.path };
  } catch (error) {
    post({ kind: 'not-opened', error: writeError(databaseErrorOf(error, options.path)) });
    return null;
  }
};

/** A thread without a database ends, as it has nothing to wait for. */
const serve = async (options: SqliteOptions): Promise<void> => {
  let opened = await open(options);
  if (opened === null) return;
  const handle = async (request: WorkerRequest): Promise<void> => {
    if (request.kind === 'open') {
      opened = await open(request.options);
      if (opened === null) parentPort?.close();
      else post({ kind: 'opened' });
    } else if (opened !== null) {
      if (request.kind === 'call') return answer(opened, request);
      close(opened, request.keepsThread);
      opened = null;
    }
  };
  let last = Promise.resolve();
  parentPort?.on('message', (request: WorkerRequest) => {
    last = last.then(() => handle(request));
  });
  post({ kind: 'opened' });
};

await serve(workerData as SqliteOptions); // Given by sqlite-database.ts, which has the same type.
