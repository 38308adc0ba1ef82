// `npm test`: the checks, every test, and each bench in small, added up to one closing line `N passed, N failed`.
// `npm test -- FILTER...` runs the tests that vitest finds for the filters, and nothing else.

import { runChecks } from './check/run-checks.ts';
import { repositoryRoot } from './program.ts';
import { runBenchSmoke, runTests } from './test/runs.ts';
import { addTallies, type Tally, verdictOf } from './test/tally.ts';

const heading = (text: string): void => console.log(`\n— ${text}`);

const runEverything = async (): Promise<Tally> => {
  heading('checks');
  const checks = await runChecks(repositoryRoot);
  heading('tests');
  const tests = await runTests(repositoryRoot, []);
  heading('benches, small sizes');
  const benches = await runBenchSmoke(repositoryRoot);
  return addTallies([{ ...checks, skipped: 0 }, tests, benches]);
};

const filters = process.argv.slice(2);
const tally = filters.length === 0 ? await runEverything() : await runTests(repositoryRoot, filters);
const { ok, line } = verdictOf(tally);
console.log(`\n${line}`);
process.exitCode = ok ? 0 : 1;
