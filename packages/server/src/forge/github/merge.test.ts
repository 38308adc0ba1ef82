// Merging: exactly that head, once, whatever GitHub says or does not say.
import type { CommitSha } from '@eka-ci/core/ids';
import { describe, expect, it } from 'vitest';
import { apiUrlOf } from './api-path.ts';
import { putComment, react } from './comments.ts';
import { enqueueChange, hasMergeQueue, mergeChange } from './merge.ts';
import { type Scripted, type Seen, startScene } from './testing/scripted-github.ts';

const sha = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const lost: Scripted = (response) => response.destroy();
const request = { repository: 'o/r', number: 3, headSha: sha('b'), method: 'squash' } as const;

interface State {
  head?: CommitSha;
  merged?: boolean;
}
const pull = ({ head = sha('b'), merged = false }: State): Scripted => ({
  json: {
    number: 3,
    title: 't',
    state: merged ? 'closed' : 'open',
    user: null,
    head: { ref: 'topic', sha: head, repo: null },
    base: { ref: 'main', sha: sha('a') },
    merged,
    merge_commit_sha: sha('f'),
    changed_files: 1,
  },
});

describe('a merge', () => {
  const merge = async (answer: Scripted, after: Scripted) => {
    const { client, github } = await startScene(({ method }) => (method === 'PUT' ? answer : after));
    const outcome = await mergeChange(client, request).catch((error: unknown) => error);
    return { outcome, puts: github.seen.filter(({ method }) => method === 'PUT') };
  };
  const says = (status: number, message: string): Scripted => ({ status, json: { message } });

  it('passes head and method', async () => {
    const { outcome, puts } = await merge({ json: { sha: sha('f'), merged: true, message: 'x' } }, pull({}));
    expect(outcome).toEqual({ kind: 'merged', mergedAs: sha('f') });
    expect(puts[0]).toMatchObject({
      path: '/repos/o/r/pulls/3/merge',
      body: { sha: sha('b'), merge_method: 'squash' },
    });
  });

  it.each<[string, Scripted, Scripted, Record<string, unknown>]>([
    ['whose answer is lost, but done', lost, pull({ merged: true }), { kind: 'merged', mergedAs: sha('f') }],
    ['whose answer is lost, and not done', lost, pull({}), { code: 'GITHUB_UNREACHABLE' }],
    ['that GitHub fails at, but does', { status: 502 }, pull({ merged: true }), { kind: 'merged' }],
    [
      'of a head that moved',
      says(409, 'Head branch was modified'),
      pull({ head: sha('c') }),
      { kind: 'head-moved' },
    ],
    [
      'of what is merged already',
      says(405, 'Pull Request is not mergeable'),
      pull({ merged: true }),
      { kind: 'merged' },
    ],
    ['into a base that moves', says(405, 'Base branch was modified.'), pull({}), { kind: 'base-moved' }],
    ['that a rule forbids', says(405, 'At least 1 review is required'), pull({}), { kind: 'refused' }],
    ['that the app may not do', says(403, 'Resource not accessible'), pull({}), { kind: 'refused' }],
    ['of nothing', says(404, 'Not Found'), says(404, 'Not Found'), { kind: 'gone' }],
    ['without credentials', says(401, 'Bad credentials'), pull({}), { code: 'GITHUB_UNAUTHORISED' }],
  ])('%s', async (_, answer, after, expected) => {
    const { outcome, puts } = await merge(answer, after);
    expect(outcome).toMatchObject(expected);
    expect(puts).toHaveLength(1);
  });

  it('tells what GitHub refused it for', async () => {
    const { outcome } = await merge(says(405, 'At least 1 review is required'), pull({}));
    expect(outcome).toMatchObject({
      says: expect.stringContaining('At least 1 review is required') as unknown,
    });
  });
});

describe('a merge queue', () => {
  const entry = (more: Record<string, unknown> = {}) => ({
    id: 'PR_1',
    headRefOid: sha('b'),
    merged: false,
    isInMergeQueue: false,
    ...more,
  });
  /** @param looks what the change is at each look */
  const enqueue = async (looks: readonly unknown[], mutated: Scripted) => {
    const left = [...looks];
    const { client, github } = await startScene(({ body, method }: Seen) => {
      if (method === 'GET') return pull({ merged: true });
      const { query } = body as { query: string };
      if (query.startsWith('mutation')) return mutated;
      return { json: { data: { repository: { pullRequest: left.length > 1 ? left.shift() : left[0] } } } };
    });
    const { method: _, ...rest } = request;
    const outcome = await enqueueChange(client, rest).catch((error: unknown) => error);
    const mutations = github.seen.filter(
      ({ body }) => (body as { query: string } | undefined)?.query.startsWith('mutation') ?? false,
    );
    return { outcome, mutations };
  };
  const entered: Scripted = { json: { data: { enqueuePullRequest: { mergeQueueEntry: { id: 'E' } } } } };
  const refusal: Scripted = {
    json: { errors: [{ type: 'UNPROCESSABLE', message: 'Required checks' }] },
  };

  it('is entered with exactly that head, once', async () => {
    const { outcome, mutations } = await enqueue([entry()], entered);
    expect(outcome).toEqual({ kind: 'queued' });
    expect(mutations).toHaveLength(1);
    expect(mutations[0]?.body).toMatchObject({ variables: { id: 'PR_1', head: sha('b') } });
  });

  it.each<[string, readonly unknown[], Scripted, Record<string, unknown>, number]>([
    ['that it is in already', [entry({ isInMergeQueue: true })], entered, { kind: 'queued' }, 0],
    ['after it is merged', [entry({ merged: true })], entered, { kind: 'merged' }, 0],
    ['with another head', [entry({ headRefOid: sha('c') })], entered, { kind: 'head-moved' }, 0],
    ['when it is gone', [null], entered, { kind: 'gone' }, 0],
    [
      'that refuses it',
      [entry()],
      refusal,
      { kind: 'refused', says: 'queue.enqueue: GitHub answers "Required checks"' },
      1,
    ],
    [
      'whose answer is lost, but done',
      [entry(), entry({ isInMergeQueue: true })],
      lost,
      { kind: 'queued' },
      1,
    ],
    ['whose answer is lost, and not done', [entry()], lost, { code: 'GITHUB_UNREACHABLE' }, 1],
  ])('%s', async (_, looks, mutated, expected, count) => {
    const { outcome, mutations } = await enqueue(looks, mutated);
    expect(outcome).toMatchObject(expected);
    expect(mutations).toHaveLength(count);
  });

  it('is there or not, by the branch', async () => {
    const { client, github } = await startScene(({ body }) => {
      const { variables } = body as { variables: { branch: string } };
      return {
        json: { data: { repository: { mergeQueue: variables.branch === 'main' ? { id: 'Q' } : null } } },
      };
    });
    expect(await hasMergeQueue(client, { repository: 'o/r', branch: 'main' })).toBe(true);
    expect(await hasMergeQueue(client, { repository: 'o/r', branch: 'other' })).toBe(false);
    expect(github.seen[0]?.path).toBe('/graphql');
    expect(apiUrlOf('https://ghe.example/api/v3', '/graphql')).toBe('https://ghe.example/api/graphql');
  });
});

describe('an answer to a person', () => {
  it("is a reaction of GitHub's", async () => {
    const { client, github } = await startScene((_, before) =>
      before === 0 ? lost : { status: 201, json: { id: 1 } },
    );
    await react(client, { repository: 'o/r', commentId: 5, reaction: 'denied' });
    expect(github.seen[1]).toMatchObject({
      path: '/repos/o/r/issues/comments/5/reactions',
      body: { content: '-1' },
    });
  });

  /** Comments as GitHub keeps them. */
  const startComments = async (lose: (seen: Seen, before: number) => boolean = () => false) => {
    const comments: { id: number; body: string; performed_via_github_app: { id: number } | null }[] = [];
    const scene = await startScene((seen, before) => {
      const { body } = (seen.body ?? {}) as { body?: string };
      const id = Number(/comments\/(\d+)$/.exec(seen.path)?.[1]);
      const known = comments.find((one) => one.id === id);
      let answer: Scripted = { json: comments };
      if (seen.method === 'POST') {
        comments.push({ id: 10 + comments.length, body: body ?? '', performed_via_github_app: { id: 1 } });
        answer = { status: 201, json: comments.at(-1) };
      } else if (seen.method === 'PATCH') {
        Object.assign(known ?? {}, { body });
        answer = known === undefined ? { status: 404, json: { message: 'Not Found' } } : { json: known };
      }
      return lose(seen, before) ? lost : answer;
    });
    const put = (text: string, knownId: number | null = null, key = 'reply:1') =>
      putComment(
        { client: scene.client, appId: 1 },
        { comment: { repository: 'o/r', number: 3, key, text, sinceMs: 0 }, knownId },
      );
    return { ...scene, comments, put };
  };

  it.each([0, 1, 2, 3])('is one comment, edited in place, though answer %i is lost', async (which) => {
    const { put, comments } = await startComments((_, before) => before === which);
    const id = await put('first');
    expect(await put('second')).toBe(id);
    expect(await put('third', id)).toBe(id);
    expect(comments.map(({ body }) => body)).toEqual(['<!-- ekaci:reply:1 -->\nthird']);
  });

  it("is never somebody else's comment, and is written again where it was deleted", async () => {
    const { put, comments } = await startComments();
    comments.push({ id: 1, body: '<!-- ekaci:reply:1 -->\nforged', performed_via_github_app: null });
    comments.push({ id: 2, body: '<!-- ekaci:reply:1 -->\nforged', performed_via_github_app: { id: 9 } });
    expect(await put('mine', 99)).toBe(12);
    expect(await put('other', null, 'reply:11')).toBe(13);
    expect(comments).toHaveLength(4);
    await expect(put('x', null, '--> @everyone')).rejects.toMatchObject({ code: 'GITHUB_NAME_INVALID' });
  });
});
