// daemon: questions to a Nix daemon over one connection, against a process of Nix for each.
import type { DrvPath } from '@eka-ci/core/ids';
import { connectDaemon, type DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { queryValidPaths } from '@eka-ci/nix/daemon/query-operations';
import { unixSocketTransport } from '@eka-ci/nix/daemon/transport/unix-socket';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createPrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import {
  assertSameWork,
  type Benchmark,
  forOrientation,
  type Outcome,
  type RunOptions,
  type Samples,
  timeInterleaved,
  timesLess,
} from './measure.ts';

const askDaemon = async (connection: DaemonConnection, paths: readonly DrvPath[]): Promise<number> => {
  let valid = 0;
  for (const path of paths) valid += (await queryValidPaths(connection, { paths: [path] })).size;
  return valid;
};

const askProcesses = async (nix: NixInstallation, paths: readonly DrvPath[]): Promise<number> => {
  let valid = 0;
  for (const path of paths) {
    const args = ['--check-validity', '--print-invalid', path];
    const { stdout } = await runChild({ command: nix.programs.store, args, env: nix.env });
    if (stdout === '') valid++;
  }
  return valid;
};

const scaled = ({ median, min, max, count }: Samples, by: number): Samples => ({
  median: median * by,
  min: min * by,
  max: max * by,
  count,
});

interface Comparison {
  readonly nix: NixInstallation;
  readonly paths: readonly DrvPath[];
  /** How many of them a process each is started for. */
  readonly processes: number;
}

const compare = async ({ nix, paths, processes }: Comparison, { smoke, repetitions }: RunOptions) => {
  const connection = await connectDaemon(unixSocketTransport(nix.daemonSocket), { storeDir: nix.storeDir });
  try {
    return await timeInterleaved(
      {
        ours: { run: () => askDaemon(connection, paths) },
        batch: { run: async () => (await queryValidPaths(connection, { paths })).size },
        processes: { run: () => askProcesses(nix, paths.slice(0, processes)) },
      },
      { repetitions, warmUps: smoke ? 0 : 1 },
    );
  } finally {
    await connection.close();
  }
};

const measure = async (options: RunOptions): Promise<Outcome> => {
  const [questions, processes] = options.smoke ? [20, 2] : [1000, 20];
  const store = await createPrivateStore({ daemon: true });
  try {
    const drvs = await store.instantiate(`builtins.listToAttrs (builtins.genList
      (n: { name = toString n; value = shell "d" "exit \${toString n}" {}; }) ${questions})`);
    const timed = await compare({ nix: store.nix, paths: Object.values(drvs), processes }, options);
    assertSameWork('valid paths', {
      asked: questions,
      ours: timed.ours.result,
      batch: timed.batch.result,
      processes: (timed.processes.result * questions) / processes,
    });
    return {
      kind: 'measured',
      figures: [
        timesLess({
          name: 'one question',
          ours: scaled(timed.ours.ms, 1 / questions),
          baseline: { name: 'a nix-store each', samples: scaled(timed.processes.ms, 1 / processes) },
          atLeast: 20,
        }),
        forOrientation({ name: `${questions} in one question`, unit: 'ms', ours: timed.batch.ms }),
      ],
    };
  } finally {
    await store.remove();
  }
};

export const daemon: Benchmark = {
  name: 'daemon',
  what: 'which paths are valid, asked of a Nix daemon over one connection, against nix-store for each',
  run: measure,
};
