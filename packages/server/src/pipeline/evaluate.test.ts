import type { EvaluationEvent, EvaluationRequest, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { expect, it } from 'vitest';
import { evaluateJob } from './evaluate.ts';
import { CrowdedError, createEvaluationRoom, type EvaluationRoom } from './evaluation-room.ts';

const endless = () => {
  const state = { isEnded: false };
  const evaluator: Evaluator = {
    name: 'stock',
    async *evaluate() {
      try {
        for (let index = 0; ; index++) {
          await Promise.resolve();
          const event: EvaluationEvent = {
            type: 'record',
            record: {
              ...{ kind: 'failed', attr: `a${index}`, attrPath: [`a${index}`] },
              failure: { kind: 'throw', message: 'gone', position: null },
            },
          };
          yield event;
        }
      } finally {
        // As real ones do, it takes its time.
        await new Promise((resolve) => setImmediate(resolve));
        state.isEnded = true;
      }
    },
  };
  return { state, evaluator };
};

const request: EvaluationRequest = {
  ...{ tree: '/tree', rootsDir: '/roots', allowImportFromDerivation: false, allowNetwork: false },
  target: { kind: 'file', file: 'default.nix', attrPath: [] },
  limits: { workers: 1, maxMemoryMib: 1, timeoutMs: 1 },
  sandbox: 'required',
};

const evaluateIn = (room: EvaluationRoom, evaluator: Evaluator) =>
  evaluateJob(
    { evaluator, room, onProgress() {} },
    { job: 'packages', systems: null, request },
    new AbortController().signal,
  );

it('has ended the evaluation when it tells that there is no room', async () => {
  const { state, evaluator } = endless();
  const room = createEvaluationRoom({ bytes: 10_000, because: 'as this test says' });
  expect(await evaluateIn(room, evaluator)).toMatchObject({ kind: 'failed' });
  expect([state.isEnded, room.taken()]).toEqual([true, 0]);
});

it('has ended the evaluation when it is to be done again', async () => {
  const { state, evaluator } = endless();
  const room = createEvaluationRoom({ bytes: 1e9, because: '' }, () => {
    throw new CrowdedError();
  });
  await expect(evaluateIn(room, evaluator)).rejects.toThrow(CrowdedError);
  expect(state.isEnded).toBe(true);
});
