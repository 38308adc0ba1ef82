// A builder that builds nothing: it answers what it was told to, after as many turns of the event loop as it was told.
import { setImmediate } from 'node:timers/promises';
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Builder } from './builder.ts';

export interface FakeBehaviour {
  /** Each at one log line. @default 1 */
  readonly turns?: number;
  readonly result: Exclude<BuildResult, { kind: 'interrupted'; cause: 'cancelled' }> | Error;
}

export interface FakeBuilder extends Builder {
  /** Every call, in order. */
  readonly calls: readonly DrvPath[];
  readonly running: ReadonlySet<DrvPath>;
}

export interface FakeBuilderOptions {
  readonly systems?: readonly string[];
  readonly features?: readonly string[];
  /** @param attempt counted from 1, of the calls for this derivation */
  readonly behave: (drvPath: DrvPath, attempt: number) => FakeBehaviour;
  /** Called when a build starts or ends, after `running` has changed. */
  readonly onChange?: (running: ReadonlySet<DrvPath>) => void;
}

export const createFakeBuilder = (options: FakeBuilderOptions): FakeBuilder => {
  const calls: DrvPath[] = [];
  const running = new Set<DrvPath>();
  const { systems = ['x86_64-linux', 'builtin'], features = [], behave, onChange = () => {} } = options;
  return {
    name: 'fake',
    systems,
    features,
    calls,
    running,
    async build({ drvPath }, observer, signal) {
      calls.push(drvPath);
      running.add(drvPath);
      onChange(running);
      const { turns = 1, result } = behave(drvPath, calls.filter((call) => call === drvPath).length);
      try {
        observer.started?.();
        for (let turn = 0; turn < turns; turn++) {
          if (signal.aborted)
            return { kind: 'interrupted', cause: 'cancelled', message: 'cancelled', durationMs: turn };
          observer.log(`turn ${turn}`);
          await setImmediate();
        }
        if (result instanceof Error) throw result;
        return result;
      } finally {
        running.delete(drvPath);
        onChange(running);
      }
    },
  };
};
