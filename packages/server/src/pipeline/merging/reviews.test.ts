// What reviewers say is kept before anybody acts on it, and the last word of each counts.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createFakeHostedForge, fakeSha } from '../../forge/hosted-forge.fake.ts';
import type { ActContext, ActEvent, Acts } from '../hosted/act.ts';
import { withReviews } from './reviews.ts';

let database: Database;

beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

it('is noted, and then acted on by who did before', async () => {
  const forge = createFakeHostedForge();
  const { repository } = forge.addRepository('owner/set');
  const told: string[] = [];
  const before: Acts = {
    'review-submitted': async ({ verdict }) => {
      told.push(`${verdict}, ${(await database.reviews.of('forge.example.org/owner/set', 1)).length} kept`);
      return verdict === 'approved' ? 'applied' : 'not-acted-on';
    },
    'comment-created': async () => 'applied',
  };
  const acts = withReviews(before, { database, clock: () => 5, wake: () => void told.push('woken') });
  const context: ActContext = {
    ...{ forge, signal: AbortSignal.timeout(1000) },
    lookAt: () => Promise.resolve(null),
    taken: () => {},
  };
  const common = { repository, by: null, reviewer: { id: 8, login: 'bob', isPerson: true } };
  const change = { number: 1, headSha: fakeSha(2), baseBranch: 'main' };
  const happen = (event: Extract<ActEvent, { kind: 'review-submitted' | 'review-dismissed' }>) =>
    event.kind === 'review-submitted'
      ? acts['review-submitted']?.(event, context)
      : acts['review-dismissed']?.(event, context);
  let reviewId = 0;
  const submit = (verdict: 'approved' | 'commented' | 'changes-requested', sha: number | null) =>
    happen({
      reviewId: ++reviewId,
      ...{ kind: 'review-submitted', ...common, change, verdict },
      reviewedSha: sha === null ? null : fakeSha(sha),
    });
  const kept = () => database.reviews.of('forge.example.org/owner/set', 1);

  expect(await submit('commented', 1)).toBe('noted');
  expect(await kept()).toEqual([]);
  expect(await submit('approved', 1)).toBe('applied');
  expect(await submit('approved', 1)).toBe('applied');
  expect(await submit('commented', 2)).toBe('noted');
  expect(await kept()).toMatchObject([{ verdict: 'approved', reviewedSha: fakeSha(1), atMs: 5 }]);
  expect(await submit('changes-requested', null)).toBe('noted');
  expect(await kept()).toMatchObject([{ verdict: 'changes-requested', reviewedSha: null }]);
  const dismissed = { kind: 'review-dismissed', ...common, change, reviewId } as const;
  expect(await happen(dismissed)).toBe('noted');
  expect(await happen(dismissed)).toBe('noted');
  expect(await kept()).toEqual([]);
  expect(told).toEqual([
    'commented, 0 kept',
    ...['woken', 'approved, 1 kept', 'woken', 'approved, 1 kept'],
    'commented, 1 kept',
    ...['woken', 'changes-requested, 1 kept'],
  ]);
  expect(acts['comment-created']).toBe(before['comment-created']);
});
