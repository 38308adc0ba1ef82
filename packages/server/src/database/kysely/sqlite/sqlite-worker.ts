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

const answer = async (connection: SqliteConnection, path: string, request: WorkerRequest): Promise<void> => {
  if (request.kind === 'close') {
    connection.close();
    parentPort?.close();
    return;
  }
  try {
    const value = await connection.transaction((calls) => dispatch(calls, request));
    post({ kind: 'value', id: request.id, value }, [value]);
  } catch (error) {
    post({ kind: 'error', id: request.id, error: writeError(databaseErrorOf(error, path)) });
  }
};

const serve = async (options: SqliteOptions): Promise<void> => {
  try {
    const connection = await openSqliteConnection(options);
    let last = Promise.resolve();
    parentPort?.on('message', (request: WorkerRequest) => {
      last = last.then(() => answer(connection, options.path, request));
    });
    post({ kind: 'opened' });
  } catch (error) {
    post({ kind: 'not-opened', error: writeError(databaseErrorOf(error, options.path)) });
  }
};

await serve(workerData as SqliteOptions); // Given by sqlite-database.ts, which has the same type.
