// Opens a database file for this process alone and runs transactions on it. Synchronous inside: lives in a thread.
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { DatabaseError } from '../../database-error.ts';
import { applyMigrations } from '../../migrations/apply-migrations.ts';
import { columnTypes } from '../../migrations/migrations.ts';
import { type Calls, createCalls } from '../calls.ts';
import type { Session } from '../session.ts';
import type { Tables } from '../tables.ts';
import { NodeSqliteDialect } from './node-sqlite-dialect.ts';
import { type OwnerLock, takeOwnerLock } from './owner-lock.ts';
import { databaseErrorOf } from './sqlite-error.ts';

export interface SqliteOptions {
  /** The database file, made with its directory when missing; or `:memory:`. */
  readonly path: string;
  /**
   * `power-loss`: what was acknowledged survives power loss. `process-death`: it survives `kill -9`, but the last
   * moments before power loss may be missing (never torn): for what can be made again.
   */
  readonly durability: 'power-loss' | 'process-death';
}

export interface SqliteConnection {
  /** Makes one call in a transaction of its own. @throws DatabaseError or StaleTransitionError; then nothing was kept */
  transaction<T>(work: (calls: Calls) => Promise<T>): Promise<T>;
  /** For tests that need the file's own view. */
  readonly database: DatabaseSync;
  close(): void;
}

const memory = ':memory:';
/** "EkaC", in the file's header: tells our databases from others. */
export const applicationId = 0x456b6143;

/** Where the file really is: two names of one file must meet in one lock. */
const resolveFile = (path: string): string => {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = existsSync(path) ? realpathSync(path) : join(realpathSync(directory), basename(path));
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (cause) {
    throw new DatabaseError(
      'DATABASE_READ_ONLY',
      `database ${path}: its directory cannot be written: mount it writable, or give its user the right`,
      { cause },
    );
  }
  return file;
};

/** Marks a new file as ours. @throws DatabaseError DATABASE_FOREIGN when it has been another program's */
const claimFile = (database: DatabaseSync, path: string): void => {
  const id = database.prepare('pragma application_id').get()?.['application_id'];
  const objects = database.prepare('select count(*) as count from sqlite_schema').get()?.['count'];
  if (id === applicationId) return;
  if (id !== 0 || objects !== 0) {
    throw new DatabaseError(
      'DATABASE_FOREIGN',
      `database ${path} belongs to another program: give EkaCI a path of its own; nothing was changed`,
    );
  }
  // Before the tables: a crash in between must not leave tables that look like another program's.
  database.exec(`pragma application_id = ${applicationId}`);
};

const configure = (database: DatabaseSync, durability: SqliteOptions['durability']): void => {
  database.exec('pragma journal_mode = wal');
  database.exec(`pragma synchronous = ${durability === 'power-loss' ? 'full' : 'normal'}`);
  database.exec('pragma foreign_keys = on');
  database.exec('pragma temp_store = memory');
  database.exec('pragma cache_size = -32768'); // 32 MiB, taken as needed.
  database.exec('pragma journal_size_limit = 67108864');
};

const createSession = (database: DatabaseSync, kysely: Kysely<Tables>): Session => {
  const statements = new Map<string, { statement: StatementSync; returnsRows: boolean }>();
  const prepared = (text: string) => {
    const known = statements.get(text);
    if (known !== undefined) return known;
    // node:sqlite takes `$1` for a name, but lists bind to `?` alone.
    const statement = database.prepare(text.replace(/\$\d+/g, '?'));
    const made = { statement, returnsRows: statement.columns().length > 0 };
    statements.set(text, made);
    return made;
  };
  return {
    kysely,
    run(text, parameters) {
      const { statement, returnsRows } = prepared(text);
      // The only types SQLite knows besides these are bigint, which node:sqlite gives on request alone.
      if (returnsRows) return statement.all(...parameters) as ReturnType<Session['run']>;
      statement.run(...parameters);
      return [];
    },
  };
};

const createTransaction =
  (database: DatabaseSync, calls: Calls, path: string): SqliteConnection['transaction'] =>
  async (work) => {
    try {
      database.exec('begin immediate');
      const result = await work(calls);
      database.exec('commit');
      return result;
    } catch (error) {
      // SQLite has rolled back by itself after some faults, a full disk among them.
      if (database.isOpen && database.isTransaction) database.exec('rollback');
      throw databaseErrorOf(error, path);
    }
  };

const prepareDatabase = async (database: DatabaseSync, path: string, options: SqliteOptions) => {
  claimFile(database, path);
  configure(database, options.durability);
  const dialect = new NodeSqliteDialect(database);
  await applyMigrations(new Kysely<unknown>({ dialect }), { types: columnTypes.sqlite });
  const transaction = createTransaction(
    database,
    createCalls(createSession(database, new Kysely<Tables>({ dialect }))),
    path,
  );
  // This process is the file's only owner: whoever wrote a draft before has gone.
  await transaction((calls) => calls.jobsets.removeDrafts());
  return transaction;
};

/** @throws DatabaseError with a code that says why it cannot be opened; the file is then as it was */
export const openSqliteConnection = async (options: SqliteOptions): Promise<SqliteConnection> => {
  let lock: OwnerLock | undefined;
  let database: DatabaseSync | undefined;
  const close = (): void => {
    if (database?.isOpen) database.close();
    lock?.release();
    lock = undefined;
  };
  try {
    const file = options.path === memory ? memory : resolveFile(options.path);
    if (file !== memory) lock = takeOwnerLock(file);
    database = new DatabaseSync(file, { timeout: 5000 });
    const transaction = await prepareDatabase(database, options.path, options);
    return { transaction, database, close };
  } catch (error) {
    close();
    throw databaseErrorOf(error, options.path);
  }
};
