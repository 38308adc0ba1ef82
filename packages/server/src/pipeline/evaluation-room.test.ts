import type { EvaluationRecord, PackageMeta } from '@eka-ci/core/evaluation';
import type { EvaluationRequest, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { expect, it } from 'vitest';
import { evaluateJob } from './evaluate.ts';
import { createEvaluationRoom } from './evaluation-room.ts';

const label = 'x'.repeat(4096);
const meta: PackageMeta = {
  ...{ pname: null, version: null, position: null, maintainerIds: [] },
  ...{ licenses: Array(200).fill(label), maintainers: Array(200).fill(label) },
  ...{ broken: true, insecure: false, unfree: false, unsupported: false },
};
const unavailable = (index: number): EvaluationRecord => ({
  ...{ kind: 'unavailable', attr: `a${index}`, attrPath: [`a${index}`], reasons: ['broken'], meta },
});
const failed = (index: number): EvaluationRecord => ({
  ...{ kind: 'failed', attr: `a${index}`, attrPath: [`a${index}`] },
  failure: { kind: 'throw', message: label, position: null },
});

/** Says the same of each attribute, without end. */
const endless = (recordOf: (index: number) => EvaluationRecord) => {
  const seen = { records: 0, ended: false };
  const evaluator: Evaluator = {
    name: 'stock',
    async *evaluate() {
      try {
        for (;;) {
          seen.records += 1;
          yield { type: 'record', record: recordOf(seen.records) };
        }
      } finally {
        seen.ended = true;
      }
    },
  };
  return { evaluator, seen };
};

const request: EvaluationRequest = {
  ...{ tree: '/nowhere', rootsDir: '/nowhere', target: { kind: 'file', file: 'default.nix', attrPath: [] } },
  ...{ limits: { workers: 1, maxMemoryMib: 64, timeoutMs: 1000 }, sandbox: 'required' },
  ...{ allowImportFromDerivation: false, allowNetwork: false },
};
const job = { job: 'packages', systems: null, request };
const signal = new AbortController().signal;

it.each([
  ['meta', unavailable, 6],
  ['errors', failed, 2048],
])('ends an evaluation whose %s would fill the memory', async (_what, recordOf, most) => {
  const { evaluator, seen } = endless(recordOf);
  const room = createEvaluationRoom({ bytes: 8 * 1024 * 1024, because: 'an eighth' });
  const evaluation = await evaluateJob({ evaluator, onProgress: () => {}, room }, job, signal);
  expect(evaluation).toMatchObject({
    kind: 'failed',
    failure: {
      kind: 'other',
      message: expect.stringContaining(
        'more than 8 MiB of themselves (names, meta, errors), an eighth',
      ) as string,
    },
  });
  expect(seen.ended).toBe(true);
  expect(seen.records).toBeLessThanOrEqual(most);
  // Of what failed nothing is kept.
  expect(room.taken()).toBe(0);
});

it('is shared by those who have it', () => {
  const room = createEvaluationRoom({ bytes: 2 * 1024 * 1024, because: 'an eighth' });
  expect([room.take(unavailable(1)), room.take(failed(2))]).toEqual([null, null]);
  expect(room.take(unavailable(3))).not.toBeNull();
});
