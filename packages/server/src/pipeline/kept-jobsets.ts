// Jobsets of earlier evaluations, by the question they answer. Each has a folder of garbage-collection roots: a jobset
// without it, or whose derivations are gone in spite of it, is evaluated again.
import { createHash } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type EvaluationFailure,
  type EvaluationRecord,
  isPassing,
  type Jobset,
} from '@eka-ci/core/evaluation';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { Database, JobsetKey, StoredJobset } from '../database/database.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { removeTree } from '../lib/work-folder.ts';
import type { Evaluation } from './evaluate.ts';
import type { EvaluationRoom } from './evaluation-room.ts';
import type { Job } from './jobs.ts';

export interface JobsetQuestion {
  readonly tree: TreeSha;
  readonly job: Job;
  readonly evaluator: Evaluator['name'];
  /** What else changes the answer. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

export interface KeptJobsets {
  /**
   * Null when it was never answered, or the answer is of no use any more. A failure where there is no room for it: the
   * memory was larger when it was kept, or other jobs say more now.
   */
  find(question: JobsetQuestion, room: EvaluationRoom): Promise<Evaluation | null>;
  /** The folder for the roots of an evaluation that is to be kept: empty, unless another judgement relies on it. */
  prepareRoots(question: JobsetQuestion): Promise<string>;
  /** Keeps it, unless another evaluation could give another answer. */
  keep(question: JobsetQuestion, jobset: Jobset): Promise<void>;
  /** Nobody finds it any more. Idempotent. */
  forget(question: JobsetQuestion): Promise<void>;
}

/** Of one judgement. */
export interface JobsetsInUse extends KeptJobsets {
  /** The judgement has ended: it uses none of them any more. Idempotent. */
  endUse(): void;
}

/** Of the whole server. */
export interface KeptJobsetStore {
  /** Whether a judgement that goes on relies on the folder of roots with that name. */
  isInUse(rootsName: string): boolean;
  beginUse(): JobsetsInUse;
}

export interface KeptJobsetsDeps {
  readonly database: Pick<Database, 'jobsets'>;
  readonly nix: { readonly version: string; readonly storeDir: string };
  /** A folder a jobset inside. */
  readonly rootsDir: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const hashOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** Of what is kept of an attribute: a jobset that lacks something is evaluated again. */
const recordsVersion = 2;

/** Stands for "all that the evaluation gives" among systems; no system is called so. */
const everySystem = '*';

const keyOf = (question: JobsetQuestion, { nix }: KeptJobsetsDeps): JobsetKey => {
  const { tree, job, settings } = question;
  const { target } = job;
  const sorted = Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    tree,
    // Only flakes see their commit; `rev` was one when the job was made.
    commit: target.kind === 'flake' && target.rev !== null ? (target.rev as CommitSha) : null,
    jobDefinition: hashOf(target),
    systems: job.systems ?? [everySystem],
    evaluator: question.evaluator,
    evaluatorVersion: nix.version,
    settings: hashOf([nix.storeDir, sorted, recordsVersion]),
  };
};

const isFinal = (record: EvaluationRecord): boolean => record.kind !== 'failed' || !isPassing(record.failure);

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const allExist = async (records: readonly EvaluationRecord[]): Promise<boolean> => {
  const paths = records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : []));
  // In groups: one by one takes its time, all at once as many open requests as there are packages.
  for (let at = 0; at < paths.length; at += 256) {
    const found = await Promise.all(paths.slice(at, at + 256).map(exists));
    if (found.includes(false)) return false;
  }
  return true;
};

/** What a folder of roots is called. */
export const rootsName = /^[0-9a-f]{40}$/;

/** Null where the jobset was removed while it was read. */
const readRecords = async (
  jobsets: Database['jobsets'],
  { id }: StoredJobset,
  room: EvaluationRoom,
): Promise<EvaluationRecord[] | EvaluationFailure | null> => {
  const records: EvaluationRecord[] = [];
  try {
    for await (const batch of jobsets.records(id)) {
      for (const record of batch) {
        const failure = room.take(record);
        if (failure !== null) return failure;
        records.push(record);
      }
    }
    return records;
  } catch (error) {
    if (errorCodeOf(error) === 'DATABASE_ROW_GONE') return null;
    throw error;
  }
};

const beginUse = (deps: KeptJobsetsDeps, inUse: Set<ReadonlySet<string>>): JobsetsInUse => {
  const { jobsets } = deps.database;
  const used = new Set<string>();
  inUse.add(used);
  /** In use from here on, before anybody looks whether it is there. */
  const useRootsOf = (question: JobsetQuestion): string => {
    const name = hashOf(keyOf(question, deps)).slice(0, 40);
    used.add(name);
    return join(deps.rootsDir, name);
  };
  return {
    async find(question, room) {
      const stored = await jobsets.find(keyOf(question, deps));
      if (stored === null) return null;
      const roots = useRootsOf(question);
      const giveBack = room.mark();
      const read = await readRecords(jobsets, stored, room);
      if (Array.isArray(read) && (await exists(roots)) && (await allExist(read))) {
        const jobset = { job: question.job.name, records: read };
        return { kind: 'complete', jobset, warnings: [] };
      }
      giveBack();
      if (read === null) return null;
      if (!Array.isArray(read)) return { kind: 'failed', failure: read, warnings: [] };
      await jobsets.remove(stored.id);
      return null;
    },
    async prepareRoots(question) {
      const folder = useRootsOf(question);
      const isShared = [...inUse].some((others) => others !== used && others.has(basename(folder)));
      if (!isShared) await removeTree(folder);
      await mkdir(folder, { recursive: true });
      return folder;
    },
    async keep(question, jobset) {
      if (!jobset.records.every(isFinal)) return;
      await jobsets.saveComplete({
        key: keyOf(question, deps),
        records: [jobset.records],
        completedAtMs: deps.clock(),
      });
    },
    async forget(question) {
      const stored = await jobsets.find(keyOf(question, deps));
      if (stored !== null) await jobsets.remove(stored.id);
    },
    endUse: () => void inUse.delete(used),
  };
};

export const createKeptJobsets = (deps: KeptJobsetsDeps): KeptJobsetStore => {
  /** A set a judgement. */
  const inUse = new Set<ReadonlySet<string>>();
  return {
    isInUse: (name) => [...inUse].some((used) => used.has(name)),
    beginUse: () => beginUse(deps, inUse),
  };
};
