// Tries an evaluator with a tree of one attribute: that its runner answers, confines, and can write the store.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EvaluationEnd, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { removeTree } from '../lib/work-folder.ts';

/** A derivation that nobody can build, and nobody is asked to. */
const trialSet = '{ trial = derivation { name = "eka-ci-trial"; system = "none"; builder = "/bin/sh"; }; }\n';

const limits = { workers: 1, maxMemoryMib: 1024, timeoutMs: 60_000 };

const whyNot = (end: EvaluationEnd, failed: string | null): string | null => {
  if (end.kind === 'failed') return end.failure.message;
  return end.records === 1 ? failed : `${end.records} attributes were evaluated where there is one`;
};

/** Why it does not evaluate; null where it does. @throws the signal's reason */
export const tryEvaluator = async (evaluator: Evaluator, signal: AbortSignal): Promise<string | null> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-trial-'));
  try {
    const tree = join(folder, 'source');
    await mkdir(tree);
    await writeFile(join(tree, 'default.nix'), trialSet);
    const events = evaluator.evaluate(
      {
        ...{ tree, rootsDir: join(folder, 'roots'), limits },
        target: { kind: 'file', file: 'default.nix', attrPath: [] },
        ...{ allowImportFromDerivation: false, allowNetwork: false, sandbox: 'required' },
      },
      signal,
    );
    let failed: string | null = null;
    for (;;) {
      const next = await events.next();
      if (next.done === true) return whyNot(next.value, failed);
      const event = next.value;
      if (event.type === 'record' && event.record.kind === 'failed') failed = event.record.failure.message;
    }
  } finally {
    await removeTree(folder);
  }
};
