import type { Change } from '@eka-ci/protocol/change';
import { expect, it } from 'vitest';
import { type BoardFacts, boardLines } from './builds-board.ts';
import { eventLine } from './event-line.ts';

const facts = (builds: number): BoardFacts => ({
  builds: Array.from({ length: builds }, (_, index) => ({
    drvPath: `/nix/store/${index}.drv`,
    name: `package-${index}\u001b[2J`,
    attempt: 1,
    builder: 'local',
    phase: index === 0 ? 'buildPhase\n' : null,
    startedAtMs: 1000,
    why: null,
  })),
  queued: 7,
  changes: { judging: 1, queued: 2 },
});

it('draws what runs within the terminal, whatever builds call themselves', () => {
  const lines = boardLines(facts(200), 4500, { columns: 60, rows: 10 });
  expect(lines).toHaveLength(8);
  expect(lines.every((line) => line.length <= 60)).toBe(true);
  expect(boardLines(facts(1), 4500, { columns: 200, rows: 24 })).toEqual([
    '1 build running, 7 queued; 1 change being judged, 2 queued   (q ends)',
    '  package-0\\x1b[2J  buildPhase\\x0a  3.5s',
  ]);
  expect(boardLines(null, 0, { columns: 80, rows: 24 })).toEqual([
    'the server does not answer: waiting for it',
  ]);
});

it('tells events in one line each, and harmless ones', () => {
  const drvPath = '/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-hello-1.0.drv';
  const change: Change = {
    id: 'c1',
    kind: 'branch',
    repository: 'me/packages',
    number: 12,
    branch: 'evil\u001b]0;title\u0007',
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
  expect(eventLine({ type: 'skipped', events: 1 })).toBe(
    '1 event left out: they come faster than they are read',
  );
});
