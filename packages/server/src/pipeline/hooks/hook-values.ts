// What a hook is told of its build. Everything is read from rows, so that a restarted server tells the same.
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import { splitDrvName } from '@eka-ci/nix/drv-name';
import { derivationNameOf } from '@eka-ci/nix/store-path';
import type { HookValues } from '../../config/hook-command.ts';
import type { Database, StoredHookRun } from '../../database/database.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import { openStoredLog } from '../../lib/stored-log.ts';

export interface HookValuesDeps {
  readonly database: Pick<Database, 'builds'>;
  /** Absolute. */
  readonly logsDir: string;
}

const openIfThere = (path: string) =>
  open(path, 'r').catch((error: unknown) => {
    if (errorCodeOf(error) === 'ENOENT') return null;
    throw error;
  });

/** A copy: the log itself is compressed some time, also while the hook reads it. Null where there is none. */
const copyLog = async (from: string, to: string): Promise<string | null> => {
  const log = await openStoredLog((suffix) => openIfThere(from + suffix));
  if (log === null) return null;
  if (log.sizeBytes === 0) await log.close();
  const source = log.sizeBytes === 0 ? [] : log.stream(0, log.sizeBytes - 1);
  await pipeline(source, createWriteStream(to, { mode: 0o600 }));
  return to;
};

/**
 * @param folder of this run alone: the build's log is put there
 * @throws DatabaseError; what the file system throws
 */
export const readHookValues = async (
  { database, logsDir }: HookValuesDeps,
  { run, node }: { readonly run: StoredHookRun; readonly node: DrvNode },
  folder: string,
): Promise<HookValues> => {
  const attempts = await database.builds.attemptsOf(run.drv);
  const logFile = attempts.find(({ attempt }) => attempt === run.attempt)?.logFile ?? null;
  const logPath = logFile === null ? null : await copyLog(join(logsDir, logFile), join(folder, 'build.log'));
  const outputs = node.outputs.flatMap(({ path }) => (path === '' ? [] : [path]));
  return {
    texts: {
      DRV_PATH: run.drv,
      EKA_JOB_NAME: run.job,
      EKA_IS_FOD: String(node.fixedOutput),
      EKA_SYSTEM: node.system,
      EKA_PNAME: splitDrvName(derivationNameOf(run.drv)).pname,
      EKA_BUILD_LOG_PATH: logPath ?? '',
      EKA_COMMIT_SHA: run.commitSha,
    },
    // What failed has none.
    outPaths: run.buildState === 'succeeded' ? outputs : [],
  };
};
