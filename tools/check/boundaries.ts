// Runs dependency-cruiser and makes sure that it looked: with a compiler that it does not know it sees no file
// and reports success, so the files it saw must be the files there are.
import { join } from 'node:path';
import { runProgram } from '../program.ts';
import type { StepResult } from './step.ts';

const roots = ['packages', 'fakes', 'e2e', 'bench', 'tools'];

interface CruiseReport {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly rule: { readonly name: string };
      readonly from: string;
      readonly to: string;
    }[];
  };
}

const listSources = async (root: string): Promise<Set<string>> => {
  const patterns = roots.flatMap((folder) => [`${folder}/*.ts`, `${folder}/**/*.ts`]);
  const list = async (...which: string[]): Promise<string[]> => {
    const listed = await runProgram(root, 'git', ['ls-files', '-z', ...which, '--', ...patterns]);
    if (listed.code !== 0) throw new Error(`git ls-files failed in ${root}: ${listed.stderr}`);
    return listed.stdout.split('\0').filter((file) => file !== '');
  };
  const [present, deleted] = await Promise.all([
    list('--cached', '--others', '--exclude-standard'),
    list('--deleted'),
  ]);
  return new Set(present.filter((file) => !deleted.includes(file)));
};

const describeGaps = (sources: ReadonlySet<string>, report: CruiseReport): string[] => {
  const seen = new Set(
    report.modules
      .map((module) => module.source)
      .filter((file) => file.endsWith('.ts') && /^[^/]+\//.test(file)),
  );
  const ours = [...seen].filter((file) => roots.some((folder) => file.startsWith(`${folder}/`)));
  const missed = [...sources].filter((file) => !seen.has(file)).map((file) => `not looked at: ${file}`);
  const stray = ours
    .filter((file) => !sources.has(file))
    .map((file) => `not a source of the project: ${file}`);
  const none = sources.size === 0 ? ['no source file was found at all'] : [];
  return [...none, ...missed, ...stray];
};

/** Fails on each forbidden import, and when the files looked at are not exactly the project's. */
export const checkBoundaries = async (root: string): Promise<StepResult> => {
  const sources = await listSources(root);
  const folders = roots.filter((folder) => [...sources].some((file) => file.startsWith(`${folder}/`)));
  const args = [...folders, '--config', join(root, '.dependency-cruiser.mjs'), '--output-type', 'json'];
  const run = await runProgram(root, 'depcruise', args);
  if (!run.stdout.startsWith('{'))
    return { ok: false, output: `${run.stdout}\n${run.stderr}`, note: 'did not run' };
  const report = JSON.parse(run.stdout) as CruiseReport;
  const violations = report.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
  const problems = [...violations, ...describeGaps(sources, report)];
  return { ok: problems.length === 0, output: problems.join('\n'), note: `${sources.size} modules` };
};
