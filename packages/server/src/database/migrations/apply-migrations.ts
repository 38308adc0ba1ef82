// Brings a database to the newest schema, all in one transaction, or says that it is of a newer server.
import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { DatabaseError } from '../database-error.ts';
import { migrations as allMigrations } from './migrations.ts';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

export interface ApplyOptions {
  readonly types: ColumnTypes;
  /** @default all */
  readonly migrations?: readonly SchemaMigration[];
}

const migrationTable = 'kysely_migration';

const appliedNames = async (db: Kysely<unknown>): Promise<string[]> => {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === migrationTable)) return [];
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(migrationTable)}`.execute(db);
  return rows.map((row) => row.name);
};

const refuseNewer = (applied: readonly string[], migrations: readonly SchemaMigration[]): void => {
  const known = new Set(migrations.map((migration) => migration.name));
  const foreign = applied.find((name) => !known.has(name));
  if (foreign === undefined) return;
  throw new DatabaseError(
    'DATABASE_TOO_NEW',
    `the database was written by a newer EkaCI (it has the schema change ${foreign}): ` +
      'run that version or a later one, or restore the backup made before the upgrade; nothing was changed',
  );
};

/**
 * @throws DatabaseError DATABASE_TOO_NEW when a migration was applied that is not among these
 */
export const applyMigrations = async (db: Kysely<unknown>, options: ApplyOptions): Promise<void> => {
  const migrations = options.migrations ?? allMigrations;
  refuseNewer(await appliedNames(db), migrations);
  const provided: Record<string, Migration> = {};
  for (const migration of migrations) {
    provided[migration.name] = { up: (target: Kysely<unknown>) => migration.up(target, options.types) };
  }
  const migrator = new Migrator({
    db,
    migrationTableName: migrationTable,
    provider: { getMigrations: async () => provided },
  });
  const { error } = await migrator.migrateToLatest();
  if (error instanceof Error) throw error;
  if (error !== undefined) throw new Error('a migration failed', { cause: error });
};
