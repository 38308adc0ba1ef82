import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { afterAll, describe, expect, it } from 'vitest';
import type { StoredChange } from '../../database/database.ts';
import { newChange } from '../testing/served.ts';
import { createHeldSummaries } from './held-summaries.ts';
import { createSummaryReader } from './summary-reader.ts';

/** Changes in memory, and how often one was read whole. */
const rows = new Map<string, StoredChange>();
let reads = 0;
const reader = createSummaryReader({
  find: (id) => {
    reads += 1;
    return Promise.resolve(rows.get(id) ?? null);
  },
});
afterAll(() => reader.close());

const keep = (change: StoredChange): StoredChange => {
  rows.set(change.id, change);
  return change;
};
const listed = (change: StoredChange) => {
  const { summaryJson: _, ...listing } = change;
  return listing;
};

describe('the reader of summaries', () => {
  it('reads each once, however many ask at the same time, and anew when it was judged anew', async () => {
    const change = keep(newChange('one'));
    reads = 0;
    const ask = () => reader.ask(listed(change), { kind: 'jobs' });
    const answers = await Promise.all([ask(), ask(), ask(), ask()]);
    for (const answer of [...answers, await ask()]) {
      expect(answer).toMatchObject({ kind: 'jobs', jobs: [{ job: exampleSummary().jobs[0]?.job }] });
    }
    expect(reads).toBe(1);
    const later = keep({ ...change, updatedAtMs: change.updatedAtMs + 1 });
    await reader.ask(listed(later), { kind: 'jobs' });
    expect(reads).toBe(2);
    await reader.ask(keep(newChange('whole')), { kind: 'jobs' });
    expect(reads).toBe(2);
  });

  it('knows what is missing from what cannot be read', async () => {
    const none = keep(newChange('none', { summaryJson: null }));
    expect(await reader.ask(listed(none), { kind: 'jobs' })).toEqual({ kind: 'no-summary' });
    expect(await reader.ask({ id: 'gone', updatedAtMs: 1 }, { kind: 'jobs' })).toEqual({
      kind: 'no-summary',
    });
    const future = keep(newChange('future', { summaryJson: '{"schemaVersion":99}' }));
    expect(await reader.ask(listed(future), { kind: 'jobs' })).toEqual({ kind: 'no-summary' });
    const broken = keep(newChange('broken', { summaryJson: '{' }));
    await expect(reader.ask(listed(broken), { kind: 'jobs' })).rejects.toThrow('could not be read');
    const good = await reader.ask(keep(newChange('good')), { kind: 'job', index: 0 });
    expect(good).toMatchObject({ kind: 'job' });
    expect(await reader.ask(newChange('good'), { kind: 'job', index: 7 })).toMatchObject({ kind: 'no-job' });
  });

  it('gives a document whole, as it was stored', async () => {
    const answer = await reader.ask(newChange('one'), { kind: 'document', part: 'summary', job: null });
    const text = answer.kind === 'document' ? new TextDecoder().decode(answer.bytes) : '';
    expect(JSON.parse(text)).toEqual(exampleSummary());
  });
});

describe('held summaries', () => {
  it('are as many as their size allows, those of late', () => {
    const held = createHeldSummaries(10_000);
    for (const key of ['a', 'b', 'c']) held.keep(key, null, 4000);
    expect(['a', 'b', 'c'].map((key) => held.find(key))).toEqual([undefined, null, null]);
    held.find('b');
    held.keep('d', null, 4000);
    expect(['b', 'c', 'd'].map((key) => held.find(key))).toEqual([null, undefined, null]);
    held.keep('huge', null, 1_000_000);
    expect(['b', 'd', 'huge'].map((key) => held.find(key))).toEqual([undefined, undefined, null]);
    held.keep('small', null, 1);
    expect(['huge', 'small'].map((key) => held.find(key))).toEqual([undefined, null]);
  });
});
