import type { ReviewEvent } from '@eka-ci/protocol/review';
import { expect, it } from 'vitest';
import { progressLine } from './line-view.ts';
import { createLiveView, frameLines } from './live-view.ts';
import { formatDuration, printable, shortenStorePaths } from './progress-view.ts';
import { initialState, nextReviewState, type ReviewState } from './review-state.ts';

const drvPath = '/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-hello-1.0.drv';

const checkedOut: ReviewEvent = {
  type: 'checked-out',
  base: { revision: 'main', sha: 'b'.repeat(40), subject: 'base' },
  head: { revision: 'change', sha: 'c'.repeat(40), subject: 'change' },
  judgedTree: 'd'.repeat(40),
  merged: true,
  nixVersion: '2.8.0',
  evaluator: 'stock',
};
const evaluating = (done: boolean): ReviewEvent => {
  return { type: 'evaluating', job: 'packages', side: 'judged', evaluated: 12, failed: 1, known: 31, done };
};
const building: ReviewEvent = { type: 'building', side: 'judged', toBuild: 4, toSubstitute: 0 };
const started: ReviewEvent = { type: 'build-started', drvPath, name: 'hello-1.0', attempt: 1 };
const phase: ReviewEvent = { type: 'build-phase', drvPath, phase: 'installPhase\u001b[2J' };
const finished: ReviewEvent = {
  type: 'build-finished',
  drvPath,
  name: 'hello-1.0',
  outcome: 'failed',
  message: `builder for '${drvPath}' failed`,
  durationMs: 2100,
  finished: 1,
  total: 4,
};

const after = (...events: readonly ReviewEvent[]): ReviewState =>
  events.reduce((state, event) => nextReviewState(state, event, 1000), initialState);

it('draws what is under way, with counts and elapsed time, and nothing that has ended', () => {
  expect(frameLines(initialState, 0, 24)).toEqual(['checking out both trees']);
  expect(frameLines(after(checkedOut, evaluating(false)), 0, 24)).toEqual([
    'evaluating packages (judged)  12 of 31, 1 failing',
  ]);
  const running = after(checkedOut, evaluating(true), building, started, phase);
  expect(frameLines(running, 4500, 24)).toEqual([
    '░░░░░░░░░░░░░░░░░░░░░░░░ 0 of 4 builds',
    '  hello-1.0  installPhase\\x1b[2J  3.5s',
  ]);
  const ended = nextReviewState(running, finished, 6000);
  expect(frameLines(ended, 6000, 24)).toEqual(['██████░░░░░░░░░░░░░░░░░░ 1 of 4 builds, 1 not succeeded']);
});

it('never draws more lines than the terminal has, and leaves it as it was', () => {
  const many = Array.from({ length: 200 }, (_, index): ReviewEvent => {
    return { type: 'build-started', drvPath: `${drvPath}${index}`, name: `package-${index}`, attempt: 1 };
  });
  expect(frameLines(after(checkedOut, building, ...many), 0, 24).length).toBeLessThan(24);
  let written = '';
  const view = createLiveView({ columns: 80, rows: 24, write: (text) => void (written += text) }, () => 0);
  view.show(checkedOut);
  view.end();
  expect(written.endsWith('\u001b[?25h')).toBe(true);
});

it('writes one line for each thing that ended, with store paths as people know them', () => {
  expect(progressLine(finished)).toBe("[1/4] failed hello-1.0 after 2.1s: builder for 'hello-1.0' failed");
  expect(progressLine(evaluating(false))).toBeNull();
  expect(progressLine(evaluating(true))).toBe('evaluated judged of packages: 12 attributes, 1 failing');
});

it('reads durations and makes text from outside harmless', () => {
  expect([340, 2100, 184_000, 3_720_000].map(formatDuration)).toEqual(['340ms', '2.1s', '3m04s', '1h02m']);
  expect(printable('a\u001b]0;title\u0007b\u202ec')).toBe('a\\x1b]0;title\\x07b\\x202ec');
  expect(shortenStorePaths(`needs ${drvPath}: gone`)).toBe('needs hello-1.0: gone');
});
