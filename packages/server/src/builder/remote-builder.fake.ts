// A machine that is told whether it answers, and builds until it is told to end.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { Machine } from '../config/machine.ts';
import type { RemoteBuilder } from './remote-builder.ts';

export interface FakeMachine extends RemoteBuilder {
  /** What it answers to a check. */
  answer: string | null;
  /** It answers nothing, until it is asked no more. */
  isSilent: boolean;
  readonly checks: () => number;
  readonly running: () => number;
  readonly isClosed: () => boolean;
  endBuilds(): void;
}

const built: BuildResult = { kind: 'built', durationMs: 1 };

export const createFakeMachine = (
  { name, speed, features, mandatoryFeatures, maxJobs, systems }: Machine,
  isSilent = false,
): FakeMachine => {
  const ends = new Set<() => void>();
  let [checks, closed] = [0, false];
  const endBuilds = (): void => {
    for (const end of ends) end();
  };
  const machine: FakeMachine = {
    ...{ name, speed, features, mandatoryFeatures, isSilent, endBuilds },
    answer: null,
    systems: systems ?? [],
    slots: { build: maxJobs, fixedOutput: maxJobs },
    isLocal: false,
    async build() {
      const { promise, resolve } = Promise.withResolvers<void>();
      ends.add(resolve);
      await promise;
      ends.delete(resolve);
      return built;
    },
    async check(signal) {
      checks++;
      if (!machine.isSilent) return machine.answer;
      return new Promise((_, reject) => {
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason is the caller's own
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    },
    copied: () => ({ to: 1, from: 2 }),
    connections: () => (closed ? 0 : 1),
    async close() {
      closed = true;
      endBuilds();
    },
    checks: () => checks,
    running: () => ends.size,
    isClosed: () => closed,
  };
  return machine;
};
