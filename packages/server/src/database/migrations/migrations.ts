// All migrations, oldest first. One that was released is never edited: what it lacks is a migration of its own.
import { createTables } from './0001-create-tables.ts';
import { queueChanges } from './0002-queue-changes.ts';
import { addKindsAndRetries } from './0003-kinds-and-retries.ts';
import { listChangesByKind } from './0004-list-changes-by-kind.ts';
import { learnFromBuilds } from './0005-learn-from-builds.ts';
import { clearFailures } from './0006-clear-failures.ts';
import { offerChanges } from './0007-offered-changes.ts';
import { keepApprovals } from './0008-approvals.ts';
import { keepUsers } from './0009-keep-users.ts';
import { keepMerges } from './0010-merges.ts';
import { keepRepositories } from './0011-repositories.ts';
import { keepPushes } from './0012-publish.ts';
import { keepHookRuns } from './0013-hook-runs.ts';
import { keepCheckRuns } from './0014-check-runs.ts';
import { keepPrivacy } from './0015-privacy.ts';
import { keepRepositoryIds } from './0016-repository-ids.ts';
import { tellChangesOfPushes } from './0017-pushes-of-changes.ts';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

export const migrations: readonly SchemaMigration[] = [
  createTables,
  queueChanges,
  addKindsAndRetries,
  listChangesByKind,
  learnFromBuilds,
  clearFailures,
  offerChanges,
  keepApprovals,
  keepUsers,
  keepMerges,
  keepRepositories,
  keepPushes,
  keepHookRuns,
  keepCheckRuns,
  keepPrivacy,
  keepRepositoryIds,
  tellChangesOfPushes,
];

export const columnTypes: Readonly<Record<'sqlite' | 'postgres', ColumnTypes>> = {
  sqlite: { integer: 'integer', bytes: 'blob', withoutRowid: true },
  postgres: { integer: 'bigint', bytes: 'bytea', withoutRowid: false },
};

/** The number a migration's name begins with. */
export const migrationNumber = (name: string): number => Number.parseInt(name, 10);
