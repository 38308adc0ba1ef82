// Pull requests and merge queues on real git.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JsonObject, wordOf } from '../state/json.ts';
import { buildTown, type Town } from '../testing/town.ts';

let town: Town;
const repository = 'octo/pkgs';
const R = `/repos/${repository}`;

beforeAll(async () => {
  town = await buildTown();
});
afterAll(() => town.close());

let branches = 0;

/** A pull request that adds a file of its own, or changes `files`. */
const open = async (files?: Readonly<Record<string, string>>) => {
  branches += 1;
  const head = `topic-${branches}`;
  const { control } = town.github;
  await control.push({
    repository,
    branch: head,
    files: files ?? { [head]: '1\n' },
    by: 'bob',
    from: 'main',
  });
  return control.openPull({ repository, head, by: 'bob', title: `Add ${head}` });
};

const merge = (number: number, body: JsonObject) => town.send('PUT', `${R}/pulls/${number}/merge`, { body });
const mergeable = async (number: number) => {
  const { body } = await town.send('GET', `${R}/pulls/${number}`);
  return [body['mergeable'], body['mergeable_state']];
};
const commitAt = async (ref: string) => (await town.send('GET', `${R}/commits/${ref}`)).body;

describe('merging', () => {
  it('does what was asked for: a merge, one commit, or all of them anew', async () => {
    const before = (await commitAt('main'))['sha'];
    const merged = await open();
    expect((await merge(merged.number, { sha: merged.headSha })).body).toMatchObject({ merged: true });
    const tip = await commitAt('main');
    expect((tip['parents'] as readonly JsonObject[]).map(({ sha }) => sha)).toEqual([before, merged.headSha]);
    const squashed = await open();
    await town.github.control.push({ repository, branch: 'topic-2', files: { more: '1\n' }, by: 'bob' });
    await merge(squashed.number, { merge_method: 'squash', commit_title: 'All at once' });
    const one = await commitAt('main');
    expect((one['parents'] as readonly JsonObject[]).map(({ sha }) => sha)).toEqual([tip['sha']]);
    expect(one['commit']).toMatchObject({ message: expect.stringMatching(/^All at once/) as string });
    const rebased = await open();
    await town.github.control.push({ repository, branch: 'topic-3', files: { again: '1\n' }, by: 'bob' });
    await merge(rebased.number, { merge_method: 'rebase' });
    const compared = await town.send('GET', `${R}/compare/${wordOf(one['sha'])}...main`);
    expect(compared.body).toMatchObject({ status: 'ahead', ahead_by: 2 });
    expect(await town.github.control.readPull({ repository, number: rebased.number })).toMatchObject({
      state: 'closed',
      merged: true,
      mergeSha: (await commitAt('main'))['sha'],
    });
  });

  it('is refused for another head, a conflict, a draft, a method, and what protection asks for', async () => {
    const { control } = town.github;
    const pull = await open();
    expect((await merge(pull.number, { sha: 'e'.repeat(40) })).status).toBe(409);
    await control.setDraft({ repository, number: pull.number, draft: true, by: 'bob' });
    expect(await mergeable(pull.number)).toEqual([true, 'draft']);
    expect((await merge(pull.number, {})).status).toBe(405);
    await control.setDraft({ repository, number: pull.number, draft: false, by: 'bob' });
    await control.configureRepository({ repository, mergeMethods: ['squash'] });
    expect((await merge(pull.number, {})).body['message']).toBe(
      'Merge commits are not allowed on this repository.',
    );
    await control.configureRepository({ repository, mergeMethods: ['merge', 'squash', 'rebase'] });
    const requiredChecks = [{ context: 'gate' }];
    await control.protect({ repository, branch: 'main', requiredChecks, requiredReviews: 1 });
    expect(await mergeable(pull.number)).toEqual([true, 'blocked']);
    expect((await merge(pull.number, {})).body['message']).toEqual(expect.stringMatching(/approving review/));
    await control.review({ repository, number: pull.number, state: 'APPROVED', by: 'alice' });
    expect((await merge(pull.number, {})).body['message']).toBe('Required status check "gate" is expected.');
    await town.send('POST', `${R}/statuses/${pull.headSha}`, { body: { state: 'success', context: 'gate' } });
    expect(await mergeable(pull.number)).toEqual([true, 'clean']);
    const conflicting = await open({ 'a.nix': 'theirs\n' });
    await control.push({ repository, branch: 'main', files: { 'a.nix': 'ours\n' }, by: 'alice' });
    expect(await mergeable(conflicting.number)).toEqual([false, 'dirty']);
    expect((await merge(conflicting.number, {})).body['message']).toBe('Pull Request is not mergeable');
    await control.unprotect({ repository, branch: 'main' });
    await control.forgetMergeability({ repository, number: pull.number, reads: 1 });
    expect(await mergeable(pull.number)).toEqual([null, 'unknown']);
    expect((await merge(pull.number, {})).status).toBe(200);
    expect((await merge(pull.number, {})).status).toBe(405);
  });

  it('of workflows needs a permission of its own', async () => {
    const pull = await open({ '.github/workflows/ci.yml': 'on: push\n' });
    const permissions = { contents: 'write', pull_requests: 'write' };
    const made = await town.sendApp('POST', `/app/installations/${town.installation}/access_tokens`, {
      body: { permissions },
    });
    const send = town.as(wordOf(made.body['token']));
    const refused = await send('PUT', `${R}/pulls/${pull.number}/merge`, { body: {} });
    expect([refused.status, refused.body['message']]).toEqual([
      403,
      expect.stringMatching(/without `workflows`/),
    ]);
  });
});

describe('a pull request', () => {
  it('follows its branch, from a fork too, and is merged by whoever pushes its head to the base', async () => {
    const { control } = town.github;
    await control.fork({ repository, owner: 'bob' });
    const fork = 'bob/pkgs';
    const { sha } = await control.push({ repository: fork, branch: 'idea', files: { idea: '1' }, by: 'bob' });
    const { number } = await control.openPull({ repository, from: fork, head: 'idea', by: 'bob' });
    const refs = async () => {
      const { list } = await town.send('GET', `${R}/git/matching-refs/pull/${number}/`);
      return new Map(list.map(({ ref, object }) => [wordOf(ref), wordOf((object as JsonObject)['sha'])]));
    };
    expect((await refs()).get(`refs/pull/${number}/head`)).toBe(sha);
    const run = await town.send('POST', `${R}/check-runs`, { body: { name: 'x', head_sha: sha } });
    expect(run.body['pull_requests']).toEqual([]);
    const second = await control.push({ repository: fork, branch: 'idea', files: { idea: '2' }, by: 'bob' });
    const [synchronized] = (await town.delivered('pull_request', 'synchronize')).slice(-1);
    expect(synchronized).toMatchObject({ number, before: sha, after: second.sha });
    const { testMergeSha } = await control.readPull({ repository, number });
    expect(await refs()).toEqual(
      new Map([
        [`refs/pull/${number}/head`, second.sha],
        [`refs/pull/${number}/merge`, testMergeSha],
      ]),
    );
    await control.deleteRepository({ repository: fork, by: 'bob' });
    const { body } = await town.send('GET', `${R}/pulls/${number}`);
    expect(body['head']).toMatchObject({ repo: null, user: null });
    expect((await merge(number, {})).status).toBe(200);
  });
});

const graphql = async (query: string, variables: JsonObject = {}) =>
  (await town.send('POST', '/graphql', { body: { query, variables } })).body;

const enqueue = `mutation Enqueue($input: EnqueuePullRequestInput!) {
  enqueuePullRequest(input: $input) { clientMutationId mergeQueueEntry { id position state headCommit { oid } } }
}`;

describe('a merge queue', () => {
  const idOf = async (number: number) =>
    (await town.send('GET', `${R}/pulls/${number}`)).body['node_id'] ?? null;
  const finish = (sha: string, conclusion: string) =>
    town.send('POST', `${R}/check-runs`, { body: { name: 'gate', head_sha: sha, conclusion } });

  it('tests each entry on those before it, merges the good and drops the bad', async () => {
    const { control } = town.github;
    await control.protect({
      repository,
      branch: 'main',
      requiredChecks: [{ context: 'gate' }],
      mergeQueue: true,
    });
    const [first, second, third] = [await open(), await open(), await open()];
    expect((await merge(first.number, {})).body['message']).toEqual(expect.stringMatching(/merge queue/));
    for (const { number, headSha } of [first, second, third]) {
      const input = { pullRequestId: await idOf(number), expectedHeadOid: headSha };
      expect(await graphql(enqueue, { input })).toMatchObject({
        data: { enqueuePullRequest: { mergeQueueEntry: { state: 'AWAITING_CHECKS' } } },
      });
    }
    const before = await control.readQueue({ repository, branch: 'main' });
    expect(before.map(({ number }) => number)).toEqual([first.number, second.number, third.number]);
    const [one, two, three] = before;
    expect(one?.groupRef).toMatch(new RegExp(`^gh-readonly-queue/main/pr-${first.number}-[0-9a-f]{40}$`));
    const requested = await town.delivered('merge_group', 'checks_requested');
    expect(requested.at(-1)?.['merge_group']).toMatchObject({
      head_sha: three?.groupSha,
      base_sha: two?.groupSha,
      head_ref: `refs/heads/${three?.groupRef}`,
    });
    await finish(one?.groupSha ?? '', 'success');
    expect(await control.readPull({ repository, number: first.number })).toMatchObject({ merged: true });
    expect((await control.readBranches({ repository }))['main']).toBe(one?.groupSha);
    await finish(two?.groupSha ?? '', 'failure');
    expect(await control.readPull({ repository, number: second.number })).toMatchObject({
      state: 'open',
      queued: false,
    });
    const [left] = await control.readQueue({ repository, branch: 'main' });
    expect(left).toMatchObject({
      number: third.number,
      groupRef: `gh-readonly-queue/main/pr-${third.number}-${one?.groupSha}`,
    });
    await finish(left?.groupSha ?? '', 'success');
    expect((await control.readBranches({ repository }))['main']).toBe(left?.groupSha);
    const destroyed = await town.delivered('merge_group', 'destroyed');
    expect(destroyed.map(({ reason }) => reason)).toEqual(['merged', 'dequeued', 'invalidated', 'merged']);
  });

  it('starts anew when its branch moves, and lets go of a pull request whose head does', async () => {
    const { control } = town.github;
    const [first, second] = [await open(), await open()];
    await control.enqueue({ repository, number: first.number, by: 'alice' });
    await control.enqueue({ repository, number: second.number, by: 'alice' });
    const { sha } = await control.push({ repository, branch: 'main', files: { direct: '1' }, by: 'alice' });
    const [front] = await control.readQueue({ repository, branch: 'main' });
    expect(front?.groupRef).toBe(`gh-readonly-queue/main/pr-${first.number}-${sha}`);
    const branch = `topic-${branches - 1}`;
    await control.push({ repository, branch, files: { late: '1' }, by: 'bob' });
    const left = await control.readQueue({ repository, branch: 'main' });
    expect(left.map(({ number }) => number)).toEqual([second.number]);
    expect(left[0]?.groupRef).toBe(`gh-readonly-queue/main/pr-${second.number}-${sha}`);
    await finish(left[0]?.groupSha ?? '', 'success');
    expect((await town.send('GET', `${R}/contents/direct`)).status).toBe(200);
    expect(await control.readPull({ repository, number: second.number })).toMatchObject({ merged: true });
  });

  it('is asked for by GraphQL, which says no in its own way', async () => {
    const { number, headSha } = await open();
    const id = await idOf(number);
    const ask = `query { repository(owner: "octo", name: "pkgs") {
      here: pullRequest(number: ${number}) { id isInMergeQueue ... on PullRequest { headRefOid } }
      mergeQueue(branch: "main") { entries(first: 5) { totalCount nodes { position } } } } }`;
    expect(await graphql(ask)).toEqual({
      data: {
        repository: {
          here: { id, isInMergeQueue: false, headRefOid: headSha },
          mergeQueue: { entries: { totalCount: 0, nodes: [] } },
        },
      },
    });
    const wrongHead = { pullRequestId: id, expectedHeadOid: 'e'.repeat(40) };
    expect(await graphql(enqueue, { input: wrongHead })).toMatchObject({
      data: { enqueuePullRequest: null },
      errors: [{ type: 'UNPROCESSABLE', path: ['enqueuePullRequest'] }],
    });
    await graphql(enqueue, { input: { pullRequestId: id } });
    expect(await graphql(enqueue, { input: { pullRequestId: id } })).toMatchObject({ errors: [{}] });
    const bob = await town.sendBob('POST', '/graphql', {
      body: { query: enqueue, variables: { input: { pullRequestId: id } } },
    });
    expect(bob.body).toMatchObject({ errors: [{ type: 'FORBIDDEN' }] });
    const before = await town.github.control.readViolations({});
    expect(before).toEqual([]);
    expect(await graphql('query { viewer { shoeSize } }')).toMatchObject({
      errors: [{ message: expect.stringMatching(/shoeSize/) as string }],
    });
    expect(await graphql('query { viewer {')).toMatchObject({ errors: [{}] });
    expect(await town.github.control.readViolations({})).toHaveLength(2);
    expect(
      (await town.sendNobody('POST', '/graphql', { body: { query: '{ viewer { login } }' } })).status,
    ).toBe(401);
  });
});
