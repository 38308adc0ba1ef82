// Submitting a change over the unix socket: what its names are found to mean, what is refused, and in which words.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ChangeDetail } from '@eka-ci/protocol/change';
import { Review } from '@eka-ci/protocol/submission';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createGitCli } from '../git/git-cli/git-cli.ts';
import {
  initTestRepository,
  type TestRepository,
  threeCommits,
  useTestFolder,
} from '../git/testing/test-repository.ts';
import { createSubmitReview, type SubmitReview } from '../pipeline/submit-review.ts';
import { type Listening, listen } from './listen.ts';
import { send, type Target } from './testing/raw-request.ts';
import { newChange, type Served, serve } from './testing/served.ts';

const folder = useTestFolder();
let served: Served;
let listening: Listening;
let socket: Target;
let submitted: string[] = [];
let repository: TestRepository;

/** The real thing over the served database, with little patience. */
const submitReview: SubmitReview = (submission) =>
  createSubmitReview({
    git: createGitCli({ env: process.env }),
    database: served.database,
    clock: () => 1000,
    onSubmitted: ({ id }) => void submitted.push(id),
    findTimeoutMs: 2000,
  })(submission);

beforeAll(async () => {
  served = await serve({ submitReview });
  const socketPath = join(served.folder, 'socket');
  listening = await listen(served.app, {
    tcp: { address: '127.0.0.1', port: 0 },
    socket: { path: socketPath, mode: 0o600, group: null },
    closeTimeoutMs: 1000,
  });
  socket = { socketPath };
});
afterAll(async () => {
  await listening.close();
  await served.close();
});
beforeEach(() => {
  submitted = [];
  repository = threeCommits(initTestRepository(join(folder(), 'repository')));
});

let number = 0;
const newId = (): string => `7c9e6679-7425-40de-944b-${String(++number).padStart(12, '0')}`;

const asked = (more: Record<string, unknown> = {}) => ({
  id: newId(),
  source: { kind: 'local', path: repository.path },
  base: { kind: 'default' },
  head: 'HEAD',
  merge: true,
  jobs: [],
  file: null,
  build: true,
  sandbox: 'required',
  ...more,
});

const post = async (body: unknown, target = socket) => {
  const headers = { 'content-type': 'application/json' };
  const answer = await send(target, {
    method: 'POST',
    path: '/v1/reviews',
    headers,
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: JSON.parse(answer.body) as unknown };
};

const refusal = (status: number, code: string, message = '') => ({
  status,
  body: { error: { code, message: expect.stringContaining(message) as unknown } },
});

const url = () => ({ kind: 'url', url: `file://${repository.path}` });

describe('submitting a review', () => {
  it('finds at once what its names mean, wakes the server, and is read again by its id', async () => {
    repository.git('branch', 'change', 'HEAD~1');
    const submission = asked({ head: 'change' });
    const { status, body } = await post(submission);
    expect(status).toBe(202);
    expect(Review.parse(body)).toMatchObject({
      id: submission.id,
      kind: 'submitted',
      repository: repository.path,
      branch: 'change',
      state: 'queued',
      headSha: repository.git('rev-parse', 'change'),
      baseSha: repository.git('rev-parse', 'main'),
      summary: null,
      markdown: null,
    });
    expect(submitted).toEqual([submission.id]);
    const read = await served.app.inject(`/v1/reviews/${submission.id}`);
    expect(read.json()).toEqual(body);
    expect((await served.app.inject(`/v1/reviews/${newId()}`)).json()).toMatchObject({
      error: { code: 'REVIEW_NOT_FOUND' },
    });
  });

  it('is idempotent: a repeat is what was asked first, whatever its names mean by now', async () => {
    repository.git('branch', 'change', 'HEAD~1');
    const submission = asked({ head: 'change' });
    const first = await post(submission);
    repository.git('branch', '--quiet', '-D', 'change');
    expect(await post(submission)).toEqual({ ...first, status: 200 });
    const twins = asked();
    const both = await Promise.all([post(twins), post(twins)]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 202]);
    expect(submitted).toEqual([submission.id, twins.id]);
    expect(await post({ ...submission, build: false })).toMatchObject(refusal(409, 'REVIEW_ID_TAKEN'));
    const other = newId();
    await served.database.changes.save(newChange(other, { number: 900 }));
    expect(await post(asked({ id: other }))).toMatchObject(refusal(409, 'REVIEW_ID_TAKEN'));
    expect((await served.app.inject(`/v1/reviews/${other}`)).statusCode).toBe(404);
  });

  it('gives the summary with both its faces, however long it is', async () => {
    for (const [id, pad] of [
      [newId(), 0],
      [newId(), 2_500_000],
    ] as const) {
      const change = newChange(id, { kind: 'submitted', number: 901 + pad });
      const padded = `${change.summaryJson?.slice(0, -1)}${' '.repeat(pad)}}`;
      await served.database.changes.save({ ...change, summaryJson: padded });
      const review = Review.parse((await served.app.inject(`/v1/reviews/${id}`)).json());
      expect(review.summary).toEqual(ChangeDetail.shape.summary.parse(JSON.parse(padded)));
      expect(review.markdown).toBe(change.markdown);
    }
  });

  it('is for operators, in a form that can be judged', async () => {
    const { tcp } = listening;
    const port: Target = { host: '127.0.0.1', port: tcp?.port ?? 0 };
    expect(await post(asked(), port)).toMatchObject(refusal(401, 'SIGN_IN_REQUIRED', 'unix socket'));
    const invalid: readonly (readonly [Record<string, unknown>, string])[] = [
      [{ source: { kind: 'local', path: 'relative' } }, 'source.path: must be an absolute path'],
      [{ base: { kind: 'nothing' } }, 'there is no merge into nothing'],
      [{ file: '../outside.nix' }, 'contains ".."'],
      [{ file: 'a\u0000b' }, 'control character'],
      [{ source: url(), sandbox: 'preferred' }, 'in the sandbox only'],
      [{ more: 1 }, 'more'],
    ];
    for (const [more, said] of invalid) {
      expect(await post(asked(more))).toMatchObject(refusal(400, 'REQUEST_INVALID', said));
    }
    expect(submitted).toEqual([]);
  });

  it('says what is wrong with a repository, and keeps nothing', async () => {
    repository.git('tag', 'main', 'HEAD~1');
    initTestRepository(join(folder(), 'empty'));
    const at = (name: string) => ({ kind: 'local', path: join(folder(), name) });
    const remote = (name: string) => ({ kind: 'url', url: `file://${join(folder(), name)}` });
    const refusals: readonly (readonly [Record<string, unknown>, string, string])[] = [
      [{ source: at('none') }, 'GIT_NOT_A_REPOSITORY', 'none'],
      [{ source: at('') }, 'GIT_NOT_A_REPOSITORY', 'not a git repository'],
      [{ head: 'mian' }, 'GIT_REVISION_NOT_FOUND', 'did you mean main?'],
      [{ head: 'main' }, 'GIT_AMBIGUOUS_REVISION', 'refs/heads/main'],
      [{ head: 'a..b' }, 'GIT_REVISION_INVALID', 'range'],
      [{ source: at('empty') }, 'GIT_EMPTY_REPOSITORY', 'no commit yet'],
      [{ source: url(), head: 'mian' }, 'GIT_REVISION_NOT_FOUND', 'did you mean main?'],
      [{ source: url(), head: 'main' }, 'GIT_AMBIGUOUS_REVISION', 'refs/heads/main'],
      [{ source: url(), head: 'HEAD~1' }, 'GIT_REVISION_NOT_FOUND', 'branches, tags and full commit shas'],
      [{ source: remote('empty') }, 'GIT_EMPTY_REPOSITORY', 'no commit yet'],
      [{ source: remote('none') }, 'GIT_FETCH_FAILED', ''],
      [{ source: { kind: 'url', url: 'ext::sh -c x' } }, 'GIT_URL_INVALID', 'https://'],
      [{ source: { kind: 'url', url: 'https://ada:canary@h/r' } }, 'GIT_URL_INVALID', 'leave them out'],
      [{ source: { kind: 'url', url: 'https://canary@h/r' } }, 'GIT_URL_INVALID', 'leave them out'],
      [{ source: { kind: 'url', url: 'ssh://ada:canary@h/r' } }, 'GIT_URL_INVALID', 'leave them out'],
      [{ source: { kind: 'url', url: 'ada:canary@h:r' } }, 'GIT_URL_INVALID', 'leave them out'],
    ];
    for (const [more, code, said] of refusals) {
      const submission = asked(more);
      const answer = await post(submission);
      expect(answer).toMatchObject(refusal(422, code, said));
      expect(JSON.stringify(answer)).not.toContain('canary');
      expect(await served.database.changes.find(submission.id)).toBeNull();
    }
    expect(served.faults).toEqual([]);
  });

  it('of a URL: branches, tags, HEAD, full shas, and the default branch or nothing', async () => {
    repository.git('tag', '-m', 'annotated', 'v1', 'HEAD~1');
    const [head, first] = [repository.git('rev-parse', 'HEAD'), repository.git('rev-parse', 'HEAD~1')];
    const absent = 'f'.repeat(40);
    const found = async (more: Record<string, unknown>) => {
      const { body } = await post(asked({ source: url(), ...more }));
      const { headSha, baseSha } = Review.parse(body);
      return [headSha, baseSha];
    };
    const orNothing = { kind: 'default-or-nothing' };
    expect(await found({ head: 'v1' })).toEqual([first, head]);
    expect(await found({ head: 'refs/heads/main' })).toEqual([head, head]);
    expect(await found({ head: 'HEAD', base: orNothing })).toEqual([head, null]);
    expect(await found({ head: first, base: orNothing })).toEqual([first, head]);
    expect(await found({ head: absent, base: { kind: 'revision', revision: 'v1' } })).toEqual([
      absent,
      first,
    ]);
    expect(await found({ head: 'HEAD', base: { kind: 'nothing' }, merge: false })).toEqual([head, null]);
  });

  it('does not wait for ever for a remote that never answers', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    try {
      const source = { kind: 'url', url: `http://127.0.0.1:${port}/r` };
      expect(await post(asked({ source }))).toMatchObject(refusal(422, 'GIT_TIMEOUT', 'within 2 s'));
    } finally {
      silent.closeAllConnections();
      await new Promise((resolve) => silent.close(resolve));
    }
  });
});
