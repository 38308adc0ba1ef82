import { expect, it } from 'vitest';
import { testLimits } from '../../sandbox/sandbox.contract.ts';
import { endingOf } from './check-ending.ts';

it('keeps no answer of a check on a full disk: others may have filled it', () => {
  const ending = endingOf({ kind: 'disk-limit', durationMs: 5 }, testLimits);
  expect(ending).toMatchObject({ outcome: 'failed', durationMs: 5, isAnswer: false });
  expect(ending.reason).toMatch(/wrote more than it may, or the disk of the server ran low/);
});
