// Random graphs of builds, each with its fate, and what a plain reading of the rules makes of them.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import type { FakeBehaviour } from '../../builder/builder.fake.ts';

export type Fate =
  | 'succeeds'
  | 'fails'
  | 'recovers'
  | 'never recovers'
  | 'breaks the builder'
  | 'breaks the builder once'
  | 'times out'
  | 'has no builder';

/** One derivation of a run; `inputs` are indices of earlier ones. */
export interface Plan {
  readonly inputs: readonly number[];
  readonly fate: Fate;
  readonly fixedOutput: boolean;
  readonly wanted: boolean;
  readonly turns: number;
}

const planArbitrary = (index: number): fc.Arbitrary<Plan> =>
  fc.record({
    inputs: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(index - 1), { maxLength: 3 }),
    fate: fc.oneof(
      { weight: 12, arbitrary: fc.constant<Fate>('succeeds') },
      {
        weight: 5,
        arbitrary: fc.constantFrom<Fate>(
          'fails',
          'recovers',
          'never recovers',
          'breaks the builder',
          'breaks the builder once',
          'times out',
          'has no builder',
        ),
      },
    ),
    fixedOutput: fc.boolean(),
    wanted: fc.oneof(
      { weight: 6, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
    turns: fc.nat(3),
  });

/** Inputs before dependents. */
export const plansArbitrary = fc
  .integer({ min: 1, max: 25 })
  .chain((size) => fc.tuple(...Array.from({ length: size }, (_, index) => planArbitrary(index))));

export const behaviourOf = (plan: Plan, drvPath: DrvPath, attempt: number): FakeBehaviour => {
  const { turns } = plan;
  const durationMs = turns;
  const built: BuildResult = { kind: 'built', durationMs };
  const failed = (cause: 'builder-exit' | 'network'): BuildResult => {
    return { kind: 'failed', cause, failedDrv: drvPath, message: 'no', durationMs };
  };
  switch (plan.fate) {
    case 'succeeds':
    case 'has no builder':
      return { turns, result: built };
    case 'fails':
      return { turns, result: failed('builder-exit') };
    case 'recovers':
      return { turns, result: attempt === 1 ? failed('network') : built };
    case 'never recovers':
      return { turns, result: failed('network') };
    case 'breaks the builder':
      return { turns, result: new Error('broken') };
    case 'breaks the builder once':
      return { turns, result: attempt === 1 ? new Error('broken') : built };
    case 'times out':
      return { turns, result: { kind: 'interrupted', cause: 'timeout', message: 'silent', durationMs } };
  }
};

/** The states that a plain reading of the rules allows for each node, in order; null for one that is not wanted. */
export const expectedStates = (plans: readonly Plan[]): (string[] | null)[] => {
  const states: (string[] | null)[] = [];
  for (const { inputs, fate, wanted } of plans) {
    const below = new Set(inputs.flatMap((input) => states[input] ?? []));
    below.delete('succeeded');
    const possible: string[] = [];
    if (fate === 'has no builder' || below.has('unsatisfiable')) possible.push('unsatisfiable');
    const others = [...below].filter((state) => state !== 'unsatisfiable');
    if (others.length > 0) possible.push('dependency-failed');
    if (possible.length === 0) {
      if (fate === 'succeeds' || fate.startsWith('recovers') || fate.endsWith('once'))
        possible.push('succeeded');
      else possible.push(fate === 'times out' ? 'interrupted' : 'failed');
    }
    states.push(wanted ? possible : null);
  }
  return states;
};

/** How often one is tried, where that is not once. */
export const attemptsExpected: Readonly<Partial<Record<Fate, number>>> = {
  recovers: 2,
  'never recovers': 2,
  'breaks the builder': 2,
  'breaks the builder once': 2,
};
