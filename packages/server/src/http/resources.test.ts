import type { CommitSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newNode, newPath } from '../database/testing/samples.ts';
import { renderBadge } from './badge.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { base, head, newChange, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const refusal = (url: string) => getRefusal(served.app, url);
const get = (url: string) => getJson(served.app, url);

describe('changes', () => {
  it('pages through them, by repository and state, each number once', async () => {
    const { changes } = served.database;
    const repository = 'paged/set';
    for (const number of [1, 2, 3]) {
      await changes.save(newChange(`paged-${number}`, { repository, number, createdAtMs: 10 + number }));
    }
    await changes.save(newChange('paged-old', { repository, number: 3, state: 'superseded' }));
    const query = `repository=${encodeURIComponent(repository)}`;
    const first = await get(`/v1/prs?${query}&limit=2`);
    expect(first).toMatchObject({ changes: [{ id: 'paged-3' }, { id: 'paged-2' }] });
    const { nextCursor } = first as { nextCursor: string };
    expect(await get(`/v1/prs?${query}&limit=2&cursor=${nextCursor}`)).toMatchObject({
      changes: [{ id: 'paged-1' }],
      nextCursor: null,
    });
    const superseded = await get(`/v1/prs?${query}&state=superseded`);
    expect(superseded).toMatchObject({ changes: [{ id: 'paged-old', headSha: head, state: 'superseded' }] });
    expect(await refusal('/v1/prs?cursor=nonsense')).toMatchObject({ status: 400, code: 'CURSOR_INVALID' });
  });

  it('gives one with its summary, and says which part of the address is unknown', async () => {
    expect(await get('/v1/prs/github/example/packages/7')).toMatchObject({
      id: 'judged',
      summary: exampleSummary(),
    });
    expect(await refusal('/v1/prs/gitlab/a/b/7')).toMatchObject({
      status: 404,
      code: 'REPOSITORY_NOT_FOUND',
    });
    expect(await refusal('/v1/prs/github/example/packages/8')).toMatchObject({ code: 'CHANGE_NOT_FOUND' });
    expect(await refusal('/v1/prs/github/example/packages/x')).toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('kinds of changes', () => {
  it('are listed apart, and GitHub may be left out of an address', async () => {
    const { changes } = served.database;
    const repository = 'kinds/set';
    await changes.save(newChange('kind-branch', { repository, number: 1 }));
    await changes.save(newChange('kind-baseline', { repository, number: 0, kind: 'baseline' }));
    const listed = (kind: string) => get(`/v1/prs?repository=kinds%2Fset${kind}`);
    expect(await listed('')).toMatchObject({ changes: [{ id: 'kind-branch' }], nextCursor: null });
    expect(await listed('&kind=baseline')).toMatchObject({ changes: [{ id: 'kind-baseline' }] });
    expect(await listed('&kind=submitted')).toMatchObject({ changes: [] });
    expect(await get('/v1/prs/kinds/set/1')).toEqual(await get('/v1/prs/github/kinds/set/1'));
    const url = '/v1/prs/kinds/set/1';
    const { etag } = (await served.app.inject(url)).headers;
    const again = await served.app.inject({ url, headers: { 'if-none-match': String(etag) } });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  });
});

describe('badges', () => {
  const messageOf = async (query = '') => {
    const { body } = await served.app.inject(`/v1/badges/github/badge/set.svg${query}`);
    return /aria-label="EkaCI: ([^"]+)"/.exec(body)?.[1];
  };

  it('say what the newest judgement of a base branch came to', async () => {
    expect(await messageOf()).toBe('unknown');
    const { changes } = served.database;
    const baseline = (id: string, createdAtMs: number, more: Parameters<typeof newChange>[1]) =>
      changes.save(
        newChange(id, {
          repository: 'badge/set',
          number: 0,
          kind: 'baseline',
          branch: 'main',
          createdAtMs,
          ...more,
        }),
      );
    await changes.save(newChange('badge-pr', { repository: 'badge/set', conclusion: 'failure' }));
    expect(await messageOf()).toBe('unknown');
    await baseline('badge-1', 1, { state: 'superseded', conclusion: 'failure' });
    expect(await messageOf()).toBe('failing');
    await baseline('badge-2', 2, { state: 'judged', conclusion: 'success' });
    await baseline('badge-3', 3, { state: 'failed', conclusion: 'cancelled' });
    await baseline('badge-4', 4, { state: 'judging', conclusion: null, summaryJson: null });
    expect(await messageOf()).toBe('passing');
    await baseline('badge-5', 5, { branch: 'old', conclusion: 'timed-out' });
    expect([await messageOf(), await messageOf('?branch=main'), await messageOf('?branch=none')]).toEqual([
      'timed out',
      'passing',
      'unknown',
    ]);
  });

  it('are pictures that others may show, and that nothing runs in', async () => {
    const { headers, body } = await served.app.inject('/v1/badges/github/badge/set.svg');
    expect(headers).toMatchObject({
      'content-type': 'image/svg+xml',
      'cache-control': 'public, max-age=300',
      'cross-origin-resource-policy': 'cross-origin',
      'content-security-policy': expect.stringContaining("default-src 'none'") as string,
    });
    expect(body).not.toMatch(/script|style|href/);
    const hostile = renderBadge({ label: '<x', message: '"&', colour: '"><script>' });
    expect(hostile).toContain('aria-label="&lt;x: &quot;&amp;"');
    expect(hostile).not.toMatch(/<x|<script/);
    expect(await refusal('/v1/badges/git/badge/set.svg')).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
    expect(await refusal('/v1/badges/github/badge/set')).toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('commits', () => {
  const url = (what: string) => `/v1/commits/${head}/${what}`;

  it('gives the summary, its parts, and one job alone', async () => {
    const summary = exampleSummary();
    const [job] = summary.jobs;
    expect(await get(url('change-summary'))).toEqual(summary);
    expect(await get(url(`change-summary?job=${job?.job}&base_sha=${base}`))).toMatchObject({
      conclusion: job?.conclusion,
      jobs: [{ job: job?.job }],
    });
    expect(await get(url('package-changes'))).toEqual({
      headSha: head,
      baseSha: base,
      jobs: [{ job: job?.job, packageChanges: job?.packageChanges }],
    });
    expect(await get(url('rebuild-impact'))).toMatchObject({ jobs: [{ rebuildImpact: job?.rebuildImpact }] });
    const markdown = await served.app.inject(url('change-summary.md'));
    expect(markdown.headers['content-type']).toBe('text/markdown; charset=utf-8');
    expect(markdown.body).toBe('# As the forge has it\n');
    expect((await served.app.inject(url(`change-summary.md?job=${job?.job}`))).body).toContain('openssl');
  });

  it('takes the newest judgement, or says why there is none', async () => {
    const { changes } = served.database;
    const fresh = 'd'.repeat(40) as CommitSha;
    const queued = newChange('queued', { head: fresh, state: 'queued', summaryJson: null, conclusion: null });
    await changes.save(queued);
    const fault = await refusal(`/v1/commits/${fresh}/change-summary`);
    expect(fault).toMatchObject({ status: 404, code: 'SUMMARY_NOT_FOUND' });
    expect(fault.error.message).toContain('queued');
    await changes.save(newChange('older', { head: fresh, createdAtMs: 1 }));
    expect(await get(`/v1/commits/${fresh}/change-summary`)).toEqual(exampleSummary());
    await changes.save({ ...queued, summaryJson: '{"schemaVersion":99}' });
    expect(await get(`/v1/commits/${fresh}/change-summary`)).toEqual(exampleSummary());

    expect(await refusal(url(`change-summary?base_sha=${head}`))).toMatchObject({
      code: 'SUMMARY_NOT_FOUND',
    });
    expect(await refusal(url('rebuild-impact?job=none'))).toMatchObject({ code: 'SUMMARY_JOB_NOT_FOUND' });
    expect(await refusal(`/v1/commits/${'e'.repeat(40)}/change-summary`)).toMatchObject({
      code: 'COMMIT_NOT_FOUND',
    });
    expect(await refusal('/v1/commits/abc/change-summary')).toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('derivations', () => {
  it('tells what one is, how it went, and what is around it', async () => {
    const at = `/v1/drvs/${served.drv}`;
    expect(await get(at)).toMatchObject({
      drvPath: served.failed,
      name: 'curl-8.1',
      state: 'failed',
      attempts: [
        { attempt: 1, state: 'interrupted', cause: 'timeout', logPath: null },
        {
          attempt: 2,
          state: 'failed',
          startedAtMs: 4000,
          finishedAtMs: 5000,
          logPath: `/v1/logs/${served.drv}?attempt=2`,
        },
      ],
    });
    expect(await get(`${at}/dependencies`)).toEqual({
      total: 1,
      derivations: [{ drvPath: served.input, name: 'zlib-1.3', state: null }],
      nextCursor: null,
    });
    expect(await get(`${at}/dependents`)).toMatchObject({
      derivations: [{ drvPath: served.dependent, state: 'queued' }],
    });
    const second = (await get(`${at}/history?limit=2`)) as { nextCursor: string };
    expect(await get(`${at}/history?limit=2&cursor=${second.nextCursor}`)).toMatchObject({
      total: 7,
      transitions: [
        { from: 'buildable', to: 'building' },
        { from: 'building', to: 'interrupted', cause: 'timeout' },
      ],
    });
    const dependent = served.dependent.slice('/nix/store/'.length);
    expect(await get(`/v1/drvs/${dependent}/why`)).toEqual({
      drvPath: served.dependent,
      state: 'queued',
      why: 'git-2.47 waits for curl-8.1.',
    });
    expect(await refusal(`${at}/history?cursor=%00`)).toMatchObject({ code: 'CURSOR_INVALID' });
  });

  it('knows none that was only named', async () => {
    const missing = newPath('placeholder-1');
    await served.database.derivations.save([newNode([{ path: missing, outputs: ['out'] }])]);
    const url = `/v1/drvs/${missing.slice('/nix/store/'.length)}`;
    for (const more of ['', '/dependencies', '/dependents', '/history', '/why']) {
      expect(await refusal(url + more)).toMatchObject({ status: 404, code: 'DRV_NOT_FOUND' });
    }
  });

  it('pages through any number of dependents without loss', async () => {
    const { derivations } = served.database;
    const input = newNode([], { path: newPath('wanted-1') });
    const dependents = Array.from({ length: 23 }, () => newNode([{ path: input.path, outputs: ['out'] }]));
    await derivations.save([input, ...dependents]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (limit) => {
        const met: string[] = [];
        let cursor: string | null = '';
        while (cursor !== null) {
          const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
          const page = (await get(`/v1/drvs/${input.path.slice(11)}/dependents?limit=${limit}${from}`)) as {
            derivations: { drvPath: string }[];
            nextCursor: string | null;
          };
          met.push(...page.derivations.map(({ drvPath }) => drvPath));
          cursor = page.nextCursor;
        }
        expect(met).toEqual(dependents.map(({ path }) => path));
      }),
      { numRuns: 10 },
    );
  });
});
