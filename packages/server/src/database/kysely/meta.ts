// Which migrations were applied, as Kysely's migrator keeps it.
import { sql } from 'kysely';
import { migrationNumber } from '../migrations/migrations.ts';
import type { Session } from './session.ts';

export interface MetaCalls {
  schemaVersion(): Promise<number>;
}

export const metaCalls = (session: Session): MetaCalls => ({
  async schemaVersion() {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(session.kysely);
    return Math.max(0, ...rows.map(({ name }) => migrationNumber(name)));
  },
});
