// Runs vitest and the benches in the foreground and counts what they did.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '@eka-ci/process';
import { programEnv } from '../program.ts';
import { type Tally, type TestReport, tallyClosingLine, tallyTests } from './tally.ts';

/** Runs a program, shows what it prints as it comes, and gives its standard output and status. */
const runShown = async (
  root: string,
  command: string,
  args: readonly string[],
): Promise<{ status: number | null; output: string }> => {
  const colours = process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' };
  const child = await startChild({ command, args, cwd: root, env: { ...programEnv(root), ...colours } });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stderr, { end: false });
  const { code } = await child.exited;
  return { status: code, output: Buffer.concat(chunks).toString('utf8') };
};

const readReport = async (file: string): Promise<TestReport | null> => {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as TestReport;
  } catch {
    return null; // Vitest died before it could write; its status tells.
  }
};

/** @param filters as vitest takes them: parts of the test files' paths */
export const runTests = async (root: string, filters: readonly string[]): Promise<Tally> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-test-'));
  const report = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const { status } = await runShown(root, 'vitest', ['run', ...reporters, ...filters]);
    return tallyTests(await readReport(report), status);
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** Each bench in small sizes, so that none rots: it closes with a line of its own, `N passed, N failed`. */
export const runBenchSmoke = async (root: string): Promise<Tally> => {
  const { status, output } = await runShown(root, process.execPath, [join(root, 'bench/main.ts'), '--smoke']);
  return tallyClosingLine(output, status);
};
