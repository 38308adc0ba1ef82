// The derivation files of a whole real package set, for tests and benchmarks: 12,902 files, 44 MB. The archive is
// not part of the project: `EKA_CI_REAL_DRVS` names the directory that holds it.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runChild } from '@eka-ci/process';

export interface RealDerivations {
  /** A tar file of a folder `store` with one file a derivation, without its store directory `/nix/store`. */
  readonly archive: string;
  /** JSON array of RealJob. */
  readonly jobs: string;
}

export interface RealJob {
  readonly attr: string;
  readonly drvPath: string;
  readonly pname: string | null;
  readonly version: string | null;
}

/** For the message of a skipped test or benchmark. */
export const whereRealDerivationsAre =
  'set EKA_CI_REAL_DRVS to a directory with corepkgs-drvs.tar.xz and corepkgs-jobs.json';

/** Null when they are not at hand. */
export const findRealDerivations = (): RealDerivations | null => {
  const repository = resolve(import.meta.dirname, '../../../..');
  const folder = process.env['EKA_CI_REAL_DRVS'] ?? join(repository, '..', 'shared', 'data');
  const archive = join(folder, 'corepkgs-drvs.tar.xz');
  const jobs = join(folder, 'corepkgs-jobs.json');
  return existsSync(archive) && existsSync(jobs) ? { archive, jobs } : null;
};

export const readRealJobs = async ({ jobs }: RealDerivations): Promise<readonly RealJob[]> =>
  JSON.parse(await readFile(jobs, 'utf8')) as RealJob[];

/** Unpacks the files into a new temporary folder; `dispose` removes it. */
export const unpackRealDerivations = async ({
  archive,
}: RealDerivations): Promise<{ readonly folder: string; readonly dispose: () => Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-real-drvs-'));
  const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const tar = await runChild({
    command: 'tar',
    args: ['-xf', archive, '-C', folder, '--strip-components=1'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  if (tar.code === 0) return { folder, dispose };
  await dispose();
  throw new Error(`cannot unpack ${archive}: ${tar.stderr}`);
};
