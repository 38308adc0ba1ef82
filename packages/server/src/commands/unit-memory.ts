// Whether the unit of the sandbox may have as much memory as the configuration gives to what runs in it.
import type { ServerConfig } from '../config/server-config.ts';

export interface UnitMemory {
  readonly config: Pick<ServerConfig, 'evaluation' | 'sandbox'>;
  /** Evaluations run in units of that kind, too. */
  readonly evaluates: boolean;
  /** Of one unit, as its runner has it; null where nobody knows, or nothing bounds it. */
  readonly boundMib: number | null;
  readonly machineMib: number;
}

/** For the runner itself, and the small files that it keeps in memory. */
const ofRunnerMib = 300;

interface Need {
  readonly what: string;
  readonly end: string;
  readonly mib: number;
}

const needsOf = ({ config, evaluates }: UnitMemory): readonly Need[] => {
  const { workers, max_memory_mib: ofWorker } = config.evaluation;
  const { max_memory_mib: ofCheck } = config.sandbox;
  const evaluation: Need = {
    what: `evaluation.workers (${workers}) times evaluation.max_memory_mib (${ofWorker})`,
    end: 'an evaluation that needs more is ended and its change not judged; fewer workers do with less',
    mib: workers * ofWorker + ofRunnerMib,
  };
  const check: Need = {
    what: `sandbox.max_memory_mib (${ofCheck})`,
    end: 'a check that needs more is ended as out of memory',
    // Its own control group is bounded by an eighth above what it may have (sandbox/control-group-run.ts).
    mib: ofCheck + Math.max(ofRunnerMib, Math.ceil(ofCheck / 8)),
  };
  return evaluates ? [evaluation, check] : [check];
};

/** Sentences for an operator. */
export const warnOfUnitMemory = (memory: UnitMemory): readonly string[] => {
  const { boundMib, machineMib } = memory;
  if (boundMib === null) return [];
  const short = needsOf(memory).filter(({ mib }) => mib > boundMib);
  const wanted = Math.max(...short.map(({ mib }) => mib).filter((mib) => mib <= machineMib));
  return short.map(({ what, end, mib }) => {
    const cure =
      mib <= machineMib
        ? `write [Service] and MemoryMax=${wanted}M into a drop-in (systemctl edit eka-ci-sandbox@)`
        : `the machine itself has ${machineMib} MiB, so lower the configuration`;
    return `${what} and what its runner takes are ${mib} MiB, and the unit of the sandbox may have ${boundMib} (MemoryMax=): ${end}; ${cure}`;
  });
};
