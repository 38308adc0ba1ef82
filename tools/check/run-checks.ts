// Runs the checks two at a time and prints findings and table.
import type { Step, StepResult } from './step.ts';
import { steps } from './steps.ts';

interface TimedResult extends StepResult {
  readonly seconds: number;
}

const runStep = async (step: Step, root: string): Promise<TimedResult> => {
  const startedAt = performance.now();
  const result = await step.run(root);
  return { ...result, seconds: (performance.now() - startedAt) / 1000 };
};

const printFindings = (step: Step, result: TimedResult): void => {
  for (const warning of result.warnings ?? []) console.log(`${step.name}: warning: ${warning}`);
  if (!result.ok) console.log(`\n${step.name} failed:\n${result.output}\n`);
};

const printTable = (results: ReadonlyMap<Step, TimedResult>): void => {
  for (const [{ name }, { ok, seconds, note }] of results) {
    console.log(
      `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(11)} ${seconds.toFixed(1).padStart(5)} s  ${note}`.trimEnd(),
    );
  }
};

/** @param root the tree to check */
export const runChecks = async (root: string): Promise<{ passed: number; failed: number }> => {
  const results = new Map<Step, TimedResult>();
  const waiting = [...steps];
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const result = await runStep(step, root);
      results.set(step, result);
      printFindings(step, result);
    }
  };
  await Promise.all([work(), work()]);
  printTable(results);
  const failed = [...results.values()].filter(({ ok }) => !ok).length;
  return { passed: results.size - failed, failed };
};
