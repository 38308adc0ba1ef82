// The checks: which tool stands behind each, and how its findings are told from its failure to run.
import { renderStaleDocuments } from '../docs/documents.ts';
import { runProgram } from '../program.ts';
import { checkBoundaries } from './boundaries.ts';
import type { Step } from './step.ts';

/** A step that is one program, failing by its exit status. */
const programStep = (name: string, command: string, args: readonly string[]): Step => ({
  name,
  run: async (root) => {
    const { code, stdout, stderr } = await runProgram(root, command, args);
    return { ok: code === 0, output: `${stdout}\n${stderr}`.trim(), note: '' };
  },
});

/** Splits oxlint's `FILE:LINE:COLUMN: MESSAGE [Error/RULE]` lines; anything else it prints is kept with the errors. */
const lint: Step = {
  name: 'lint',
  run: async (root) => {
    const { code, stdout, stderr } = await runProgram(root, 'oxlint', ['--type-aware', '--format=unix']);
    const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
    const warnings = lines.filter((line) => line.includes('[Warning/'));
    const output = lines.filter((line) => !line.includes('[Warning/')).join('\n');
    return { ok: code === 0, output, note: `${warnings.length} warnings`, warnings };
  },
};

const documents: Step = {
  name: 'documents',
  run: async (root) => {
    const stale = await renderStaleDocuments(root);
    const output = stale.map(({ file }) => `${file} is not what its source says: npm run docs`).join('\n');
    return { ok: stale.length === 0, output, note: '' };
  },
};

/** Slow ones first, so that two at a time end early. */
export const steps: readonly Step[] = [
  programStep('types', 'tsc', ['-b', '--pretty', 'false']),
  lint,
  programStep('unused', 'knip', ['--no-progress', '--no-config-hints']),
  { name: 'boundaries', run: checkBoundaries },
  programStep('format', 'biome', ['check', '--error-on-warnings', '--reporter=summary']),
  documents,
];
