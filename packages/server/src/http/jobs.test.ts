import type { CommitSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { CheckRuns, CommitJobs, Job, type JobDrv, JobDrvPage } from '@eka-ci/protocol/job';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getJson, getRefusal } from './testing/inject.ts';
import { base, head, newChange, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const refusal = (url: string) => getRefusal(served.app, url);
const get = (url: string) => getJson(served.app, url);

const [example] = exampleSummary().jobs;
const { outcomes = [], packageChanges = [] } = example ?? {};

/** Every page of a job's rows, one after the other. */
const readRows = async (query: string): Promise<JobDrv[]> => {
  const rows: JobDrv[] = [];
  let cursor: string | null = null;
  do {
    const from: string = cursor === null ? '' : `&cursor=${cursor}`;
    const page: ReturnType<typeof JobDrvPage.parse> = JobDrvPage.parse(
      await get(`/v1/jobs/judged.0/drvs?${query}${from}`),
    );
    expect(page.total).toBeGreaterThanOrEqual(page.drvs.length);
    rows.push(...page.drvs);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return rows;
};

describe('the jobs of a commit', () => {
  it('are listed with ids that lead to each', async () => {
    const { jobs, ...commit } = CommitJobs.parse(await get(`/v1/commits/${head}/jobs?base_sha=${base}`));
    expect(commit).toEqual({ changeId: 'judged', headSha: head, baseSha: base });
    expect(jobs).toMatchObject([
      {
        id: 'judged.0',
        job: example?.job,
        conclusion: 'failure',
        totalRebuilds: expect.any(Number) as number,
      },
    ]);
    const job = Job.parse(await get('/v1/jobs/judged.0'));
    expect(job).toMatchObject({ ...jobs[0], repository: 'example/packages', notices: example?.notices });
    expect(job.drvs).toBe((await readRows('limit=500')).length);
  });

  it('say what they hold of each derivation, once, filtered and in pages', async () => {
    const all = await readRows('limit=500');
    expect(all.slice(0, outcomes.length).map(({ attr, state }) => ({ attr, kind: state }))).toEqual(
      outcomes.map(({ attr, kind }) => ({ attr, kind })),
    );
    const attrs = new Set([...outcomes, ...packageChanges].map(({ attr }) => attr));
    expect(all.map(({ attr }) => attr).toSorted()).toEqual([...attrs].toSorted());
    expect(all.find(({ attr }) => attr === 'oldTool')).toMatchObject({ difference: 'removed', state: null });
    const texts = fc.constantFrom('', 'o', 'OPENSSL', 'git-2', 'nothing of that name', '.drv', '3.6');
    const states = fc.constantFrom(
      '',
      ...new Set(all.flatMap(({ state }) => (state === null ? [] : [state]))),
    );
    const differences = fc.constantFrom('', 'added', 'removed', 'changed', 'unevaluable', 'unchanged');
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          q: texts,
          state: states,
          difference: differences,
          limit: fc.integer({ min: 1, max: 12 }),
        }),
        async ({ limit, ...filter }) => {
          const asked = Object.entries(filter).filter(([, value]) => value !== '');
          const query = new URLSearchParams([...asked, ['limit', String(limit)]]);
          const expected = all.filter(({ attr, aliases, drvPath, ...row }) => {
            const name = drvPath?.replace(/^.*\/.{32}-|\.drv$/g, '') ?? '';
            return asked.every(([key, value]) =>
              key === 'q'
                ? [attr, ...aliases, name].some((text) => text.toLowerCase().includes(value.toLowerCase()))
                : row[key === 'state' ? 'state' : 'difference'] === value,
            );
          });
          expect(await readRows(query.toString())).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says which part of what was asked is unknown', async () => {
    const invalid = ['judged', 'judged.', 'judged.00', 'judged.-1', '../judged.0', 'judged.99999'];
    for (const id of invalid) {
      expect(await refusal(`/v1/jobs/${encodeURIComponent(id)}`), id).toMatchObject({ status: 400 });
    }
    for (const id of ['judged.1', 'nothing.0']) {
      expect(await refusal(`/v1/jobs/${id}/drvs`)).toMatchObject({
        status: 404,
        code: 'JUDGED_JOB_NOT_FOUND',
      });
    }
    expect(await refusal('/v1/jobs/judged.0/drvs?state=broken')).toMatchObject({ code: 'REQUEST_INVALID' });
    expect(await refusal('/v1/jobs/judged.0/drvs?cursor=x')).toMatchObject({ code: 'CURSOR_INVALID' });
  });

  it('are of the newest judgement, and of the job as it is judged again', async () => {
    const { changes } = served.database;
    const again = newChange('again', { head: 'e'.repeat(40) as CommitSha });
    await changes.save(again);
    expect(await get('/v1/jobs/again.0')).toMatchObject({ conclusion: 'failure' });
    const summary = exampleSummary();
    const jobs = summary.jobs.map((job) => ({ ...job, conclusion: 'success', packageChanges: [] }));
    await changes.save({ ...again, updatedAtMs: 3000, summaryJson: JSON.stringify({ ...summary, jobs }) });
    expect(await get('/v1/jobs/again.0')).toMatchObject({ conclusion: 'success' });
    expect(await get(`/v1/commits/${again.head}/package-changes`)).toMatchObject({
      jobs: [{ packageChanges: [] }],
    });
  });
});

describe('the gates of a commit', () => {
  let now = 5000;
  const runsOf = async (more: Parameters<typeof newChange>[1]) => {
    now += 1;
    const facts = { head: 'f'.repeat(40) as CommitSha, updatedAtMs: now, ...more };
    await served.database.changes.save(newChange('gated', facts));
    return CheckRuns.parse(await get(`/v1/commits/${'f'.repeat(40)}/check_runs`)).checkRuns;
  };
  const notJudged = { summaryJson: null, conclusion: null } as const;

  it('are one for each job and one for the summary, as far as it is', async () => {
    expect(await runsOf({})).toMatchObject([
      { name: `EkaCI: ${example?.job}`, jobId: 'gated.0', status: 'completed', conclusion: 'failure' },
      { name: 'EkaCI: Change Summary', jobId: null, status: 'completed', conclusion: 'neutral' },
    ]);
    expect(await runsOf({ ...notJudged, state: 'queued' })).toMatchObject([
      { name: 'EkaCI: Change Summary', status: 'queued', conclusion: null },
    ]);
    expect(await runsOf({ ...notJudged, state: 'judging' })).toMatchObject([{ status: 'in_progress' }]);
    const failed = { state: 'failed', conclusion: 'failure', fault: 'GIT_GONE: look' } as const;
    expect(await runsOf({ ...notJudged, ...failed })).toMatchObject([
      { status: 'completed', conclusion: 'failure', title: 'GIT_GONE: look' },
    ]);
    expect(await runsOf({ ...notJudged, state: 'superseded' })).toMatchObject([
      { status: 'completed', conclusion: 'cancelled', completedAtMs: null },
    ]);
    for (const run of await runsOf({ state: 'judging' })) {
      expect(run).toMatchObject({ status: 'in_progress', conclusion: null, title: 'Is being judged.' });
    }
  });
});
