// Runs of checks over HTTP: what came of them, what they printed, and that nobody else's is told.
import { CheckOfChange } from '@eka-ci/protocol/check';
import { CheckRuns } from '@eka-ci/protocol/job';
import { afterEach, expect, it } from 'vitest';
import { getJson, getRefusal } from './testing/inject.ts';
import {
  checkId,
  checkText,
  head,
  runCheck,
  type Served,
  type ServeOptions,
  serve,
} from './testing/served.ts';

let served: Served;
const start = async (more: ServeOptions = {}): Promise<void> => {
  served = await serve(more);
  await runCheck(served);
};
afterEach(() => served.close());

const url = `/v1/checks/${checkId}`;
const codeOf = async (address: string) => (await getRefusal(served.app, address)).code;

it('tells what came of a run, and lists it among the gates of its commit', async () => {
  await start();
  expect(CheckOfChange.parse(await getJson(served.app, url))).toEqual({
    ...{ id: checkId, changeId: 'judged', name: 'format', state: 'failed', status: 3, durationMs: 90 },
    ...{ reason: 'it ended with status 3', kept: false, queuedAtMs: 6000, endedAtMs: 6100 },
    logPath: `${url}/log`,
  });
  const { checkRuns } = CheckRuns.parse(await getJson(served.app, `/v1/commits/${head}/check_runs`));
  expect(checkRuns.at(-1)).toEqual({
    ...{ name: 'EkaCI check: format', jobId: null, detailsPath: url, title: 'it ended with status 3' },
    ...{ status: 'completed', conclusion: 'failure', completedAtMs: 6100 },
  });
  expect(await codeOf('/v1/checks/01890a5d-ac96-474b-bcce-b302099a8059')).toBe('CHECK_NOT_FOUND');
  expect(await codeOf('/v1/checks/..%2f..%2fetc%2fpasswd')).toBe('REQUEST_INVALID');
});

it('gives the log as text, in parts, and as a page of which nothing is run', async () => {
  await start();
  const text = await served.app.inject({ url: `${url}/log` });
  expect([text.body, text.headers['content-type']]).toEqual([checkText, 'text/plain; charset=utf-8']);
  const part = await served.app.inject({ url: `${url}/log`, headers: { range: 'bytes=0-6' } });
  expect([part.statusCode, part.body]).toEqual([206, 'looking']);
  const page = await served.app.inject({ url: `${url}/log?format=html` });
  expect(page.body).toContain('&lt;b&gt;format&lt;/b&gt;');
  expect(page.body).not.toContain('<b>format');
  await served.database.checkRuns.queue({
    ...{ id: '01890a5d-ac96-474b-bcce-b302099a8060', changeId: 'judged', name: 'other' },
    ...{ question: 'p', queuedAtMs: 1 },
  });
  expect(await codeOf('/v1/checks/01890a5d-ac96-474b-bcce-b302099a8060/log')).toBe('LOG_NOT_FOUND');
});
