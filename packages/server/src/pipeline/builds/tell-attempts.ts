// What earlier attempts add to an outcome: that it is flaky, or that it failed more than once. Read from the records, so
// that a judgement which a crash cut short says the same as one that it did not.
import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import { type PackageKey, packageKeyText } from '@eka-ci/core/build-durations';
import { type BuildAnswer, describeFlaky, describeRepeatedFailure, isFlaky } from '@eka-ci/core/flaky';
import type { DrvPath } from '@eka-ci/core/ids';
import { toNode } from './build.ts';
import type { ChangeBuilds } from './change-builds.ts';
import { packageOf } from './expected-durations.ts';

export interface ToldAttempts {
  addTo(drv: DrvPath, outcome: AttrOutcome): AttrOutcome;
  /** Of what is flaky and has no row of its own. */
  readonly warnings: readonly string[];
}

type Answers = ReadonlyMap<DrvPath, readonly BuildAnswer[]>;

/** Of what was tried more than once, and of what was there before: it may have been built just before a crash. */
const readAnswers = ({ stage, roots, built }: ChangeBuilds): Promise<Answers> => {
  const asked = new Set([...roots].filter((root) => !built.has(root)));
  for (const [drv, { attempt, state }] of built) {
    if (attempt > 1 && (state === 'succeeded' || state === 'failed')) asked.add(drv);
  }
  return asked.size === 0 ? Promise.resolve(new Map()) : stage.records.builds.answersOf(asked);
};

const describeAllFlaky = async (
  { stage, request: { graph } }: ChangeBuilds,
  answers: Answers,
): Promise<ReadonlyMap<DrvPath, string>> => {
  const flaky = [...answers].filter(([, all]) => isFlaky(all));
  const keyOf = (drv: DrvPath): PackageKey => packageOf(graph, toNode(graph, drv));
  const histories = await stage.records.packages.historiesOf(flaky.map(([drv]) => keyOf(drv)));
  const counts = new Map(histories.map((history) => [packageKeyText(history), history.flakyBuilds]));
  return new Map(
    flaky.map(([drv, all]) => [drv, describeFlaky(all, counts.get(packageKeyText(keyOf(drv))) ?? 0)]),
  );
};

/** @throws DatabaseError */
export const readAttempts = async (change: ChangeBuilds): Promise<ToldAttempts> => {
  const { roots, request } = change;
  const answers = await readAnswers(change);
  const flaky = await describeAllFlaky(change, answers);
  const addTo = (drv: DrvPath, outcome: AttrOutcome): AttrOutcome => {
    if (outcome.state === 'succeeded') {
      const attempts = flaky.get(drv);
      return attempts === undefined ? outcome : { ...outcome, flaky: true, attempts };
    }
    const attempts = describeRepeatedFailure(answers.get(outcome.culprit?.drvPath ?? drv) ?? []);
    return attempts === null ? outcome : { ...outcome, attempts };
  };
  const hidden = [...flaky].filter(([drv]) => !roots.has(drv));
  const { graph } = request;
  const warnings = hidden.map(([drv, said]) => `${graph.nameOf(toNode(graph, drv))} is flaky: it ${said}`);
  return { addTo, warnings };
};
