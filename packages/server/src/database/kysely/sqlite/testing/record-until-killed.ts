// A server in small, to be killed: records one transition a transaction and prints each once it is acknowledged.
// Arguments: the database's path.
import type { DrvPath } from '@eka-ci/core/ids';
import { openSqliteDatabase } from '../sqlite-database.ts';

const [, , path = ''] = process.argv;
const database = await openSqliteDatabase({ path, durability: 'power-loss' });
const drv = '/nix/store/00000000000000000000000000000000-killed-1.0.drv' as DrvPath;
await database.derivations.save([
  {
    path: drv,
    system: 'x86_64-linux',
    fixedOutput: false,
    preferLocalBuild: false,
    allowSubstitutes: true,
    requiredFeatures: [],
    outputs: [],
    inputs: [],
  },
]);
const common = { drv, cause: null, culprit: null, message: null, logFile: null };
for (let attempt = 1; ; attempt++) {
  const from = attempt === 1 ? null : 'queued';
  const [event] = await database.builds.recordTransitions([
    { ...common, attempt, from, to: 'queued', atMs: attempt },
  ]);
  process.stdout.write(`${event?.sequence}\n`);
}
