// Begins with what a start waits for longest, the database's thread and what Nix answers; the code of the server is
// loaded meanwhile. Nobody else but server.ts names drivers.
import { setImmediate } from 'node:timers/promises';
import { findNix } from '@eka-ci/nix/installation';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import type { RunningServer } from './server.ts';
import type { ServerDeps, ServerOptions } from './wiring/server-options.ts';

/**
 * Opens everything and serves until it is stopped.
 * @throws NixNotFoundError, MachinesFileError, DatabaseError, ListenError, StoreQueryError; nothing is left open then
 */
export const startServer = async (options: ServerOptions, deps: ServerDeps): Promise<RunningServer> => {
  const answering = findNix(deps.env);
  // Where no Nix is installed no database is made or upgraded.
  await Promise.race([answering, setImmediate()]);
  const [nix, database, server] = await Promise.allSettled([
    answering,
    openSqliteDatabase({ path: options.dbPath, durability: options.durability }),
    import('./server.ts'),
  ]);
  if (nix.status === 'fulfilled' && database.status === 'fulfilled' && server.status === 'fulfilled')
    return server.value.serveFrom({ options, deps, nix: nix.value, database: database.value });
  if (database.status === 'fulfilled') await database.value.close();
  throw [nix, database, server].find((one) => one.status === 'rejected')?.reason;
};
