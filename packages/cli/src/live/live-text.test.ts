import type { Change } from '@eka-ci/protocol/change';
import { expect, it } from 'vitest';
import { eventLine } from './event-line.ts';

it('tells events in one line each, and harmless ones', () => {
  const drvPath = '/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-hello-1.0.drv';
  const change: Change = {
    id: 'c1',
    kind: 'branch',
    repository: 'me/packages',
    number: 12,
    branch: 'evil\u001b]0;title\u0007',
    baseBranch: null,
    title: '',
    state: 'judged',
    baseSha: null,
    headSha: 'a'.repeat(40),
    judgedTree: null,
    conclusion: 'failure',
    fault: null,
    retryAtMs: null,
    approved: false,
    createdAtMs: 0,
    updatedAtMs: 0,
  };
  const failed = {
    type: 'build_state_change' as const,
    drvPath,
    attempt: 2,
    from: 'building',
    to: 'failed',
    cause: 'builder-exit' as const,
    message: 'exit\n2',
    atMs: 0,
    sequence: 1,
  };
  expect(eventLine({ type: 'change_update', change })).toBe(
    'me/packages 12 evil\\x1b]0;title\\x07 (aaaaaaaaaaaa) judged: failure',
  );
  expect(eventLine(failed)).toBe('failed hello-1.0 (builder-exit), attempt 2: exit\\x0a2');
  const stats = { type: 'job_stats_update' as const, changeId: 'c1', failed: 0 };
  expect(eventLine({ ...stats, stage: 'evaluating', finished: 0, total: 0 })).toBeNull();
  expect(eventLine({ ...stats, stage: 'building', finished: 1, total: 4, etaS: 90 })).toBe(
    '1 of 4 builds, 0 not succeeded, about 1m30s left',
  );
  expect(eventLine({ type: 'skipped', events: 1 })).toBe(
    '1 event left out: they come faster than they are read',
  );
});
