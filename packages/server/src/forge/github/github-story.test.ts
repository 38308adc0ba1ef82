// The parts together, on a GitHub of its own that holds each request and answer against GitHub's published description.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { CommitSha } from '@eka-ci/core/ids';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../config/secret.ts';
import type { ForgeEvent } from '../forge-event.ts';
import type { Gate } from '../gate.ts';
import { compareFiles, findChange, listChangedFiles, listOpenChanges } from './changes.ts';
import { putComment, react } from './comments.ts';
import { putGate } from './gates.ts';
import { createGithubApps, describeMissingRights, type GithubInstallation } from './github-apps.ts';
import { createGithubHttp } from './github-http.ts';
import { listFailedDeliveries, redeliver } from './hook-deliveries.ts';
import { enqueueChange, hasMergeQueue, mergeChange } from './merge.ts';
import {
  findBranchTip,
  findCommitterDate,
  findRepository,
  findRight,
  listBranchTips,
  listRepositories,
} from './repositories.ts';
import { type ReceivedWebhook, receiveWebhook } from './webhook.ts';

const secret = 'the secret of the hook';

/** Takes webhooks as the server would. */
const startReceiver = async () => {
  const received: ReceivedWebhook[] = [];
  const answers = { status: 202 };
  const server = createServer((request, response) => {
    const take = async (): Promise<void> => {
      const body = await buffer(request);
      received.push(receiveWebhook({ headers: request.headers, body }, [new Secret(secret)]));
      response.writeHead(answers.status).end();
    };
    take().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const events = (): ForgeEvent[] =>
    received.flatMap((one) =>
      one.kind === 'received' && one.reading.kind === 'event' ? [one.reading.event] : [],
    );
  return { url: `http://127.0.0.1:${port}/github/webhook`, received, events, answers, server };
};

const rights = {
  actions: 'read',
  checks: 'write',
  contents: 'write',
  issues: 'write',
  members: 'read',
  merge_queues: 'read',
  metadata: 'read',
  pull_requests: 'write',
  workflows: 'write',
} as const;

const gate = (headSha: CommitSha, more: Partial<Gate> = {}): Gate => ({
  name: 'EkaCI: packages',
  headSha,
  externalId: 'gate:1',
  state: { kind: 'in-progress', startedAtMs: Date.now() },
  title: '1 of 2 built',
  summary: 'fine',
  detailsUrl: 'https://ci.example/changes/1',
  ...more,
});

describe('on a whole GitHub', () => {
  let github: FakeGitHub;
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  let installation: GithubInstallation;
  let apps: ReturnType<typeof createGithubApps>;
  const ids = { alice: 0, bob: 0, repository: 0 };
  const repository = 'octo/pkgs';

  beforeAll(async () => {
    github = await startFakeGitHub();
    receiver = await startReceiver();
    const { control, apiUrl } = github;
    ids.alice = (await control.createUser({ login: 'alice' })).id;
    ids.bob = (await control.createUser({ login: 'bob' })).id;
    await control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
    ids.repository = (
      await control.createRepository({ owner: 'octo', name: 'pkgs', files: { 'a.nix': '1' } })
    ).id;
    await control.fork({ repository, owner: 'bob' });
    const events = [
      'check_run',
      'issue_comment',
      'merge_group',
      'pull_request',
      'push',
      'repository',
      'workflow_run',
    ];
    const app = await control.createApp({
      slug: 'eka',
      owner: 'octo',
      permissions: rights,
      events,
      hookUrl: receiver.url,
      hookSecret: secret,
    });
    await control.install({ app: app.id, account: 'octo' });
    apps = createGithubApps({
      clock: Date.now,
      apps: [
        {
          id: 'default',
          permissions: { allow_all: true, allowed_repos: [], allowed_branches: [] },
          loadCredentials: async () => ({ appId: String(app.id), privateKey: new Secret(app.privateKey) }),
          http: createGithubHttp({ apiUrl, clock: Date.now, sleep: async () => {}, timeoutMs: 2000 }),
        },
      ],
    });
    const chosen = await apps.choose(repository, 'main');
    if (chosen.kind === 'none') throw new Error('the app is not installed');
    installation = chosen;
  });

  afterEach(async () => {
    await github.control.clearFaults({});
    expect(await github.control.readViolations({})).toEqual([]);
    expect(receiver.received.filter(({ kind }) => kind === 'refused')).toEqual([]);
  });

  afterAll(async () => {
    await github.stop();
    receiver.server.closeAllConnections();
    receiver.server.close();
  });

  /** A change of bob's, from his fork. */
  const openChange = async (branch: string) => {
    await github.control.push({
      repository: 'bob/pkgs',
      branch,
      files: { [`${branch}.nix`]: '2' },
      from: 'main',
      by: 'bob',
    });
    const opened = await github.control.openPull({ repository, head: branch, from: 'bob/pkgs', by: 'bob' });
    return { number: opened.number, headSha: opened.headSha as CommitSha };
  };

  it('reads repositories, branches, commits, rights and changes', async () => {
    const { client } = installation;
    expect(describeMissingRights(installation.rights)).toEqual([]);
    const { number, headSha } = await openChange('reads');
    const tips = await listBranchTips(client, repository);
    const main = tips.items.find(({ name }) => name === 'main')?.sha;
    expect(await findBranchTip(client, { repository, branch: 'main' })).toBe(main);
    expect(await findBranchTip(client, { repository, branch: 'gone' })).toBeNull();
    expect(await findRepository(client, repository)).toMatchObject({
      id: ids.repository,
      defaultBranch: 'main',
    });
    expect((await listRepositories(client)).items.map(({ name }) => name)).toEqual([repository]);
    expect((await listOpenChanges(client, repository)).items).toMatchObject([
      { number, headSha, baseBranch: 'main' },
    ]);
    expect(await findCommitterDate(client, { repository, sha: headSha })).toBeGreaterThan(0);
    expect(await listChangedFiles(client, { repository, number })).toEqual({
      paths: ['reads.nix'],
      isComplete: true,
      headSha,
    });
    if (main === undefined) throw new Error('there is no branch main');
    expect(await compareFiles(client, { repository, base: main, head: headSha })).toMatchObject({
      paths: ['reads.nix'],
    });
    expect(await findRight(client, { repository, user: { id: ids.alice, login: 'alice' } })).toBe('admin');
    expect(await findRight(client, { repository, user: { id: ids.bob, login: 'alice' } })).toBe('none');
    expect(['none', 'read']).toContain(
      await findRight(client, { repository, user: { id: ids.bob, login: 'bob' } }),
    );
  });

  it('has one gate, one comment and one reaction, though answers are lost', async () => {
    const { client, appId } = installation;
    const { control } = github;
    const { number, headSha } = await openChange('gates');
    const lose = { takesEffect: true, fault: { kind: 'cutBody' } } as const;
    await control.addFault({ method: 'POST', path: '/check-runs$', ...lose });
    const annotations = Array.from({ length: 60 }, (_, line) => ({
      path: 'gates.nix',
      startLine: line + 1,
      endLine: line + 1,
      level: 'failure' as const,
      message: 'it fails',
    }));
    const action = { identifier: 'approve', label: 'Approve', description: 'Let this head build' };
    const wanted = gate(headSha, {
      state: { kind: 'concluded', conclusion: 'action-required', startedAtMs: null, endedAtMs: Date.now() },
      annotations,
      actions: [action],
    });
    const gateId = await putGate({ client, appId, repository }, { gate: wanted, knownId: null });
    await control.addFault({ method: 'PATCH', path: '/check-runs/', ...lose });
    expect(await putGate({ client, appId, repository }, { gate: wanted, knownId: gateId })).toBe(gateId);
    const runs = await control.readChecks({ repository, sha: headSha });
    expect(runs).toMatchObject([{ id: gateId, conclusion: 'action_required', externalId: 'gate:1' }]);
    expect(runs[0]?.annotations).toHaveLength(60);
    await control.pressAction({ run: gateId, identifier: 'approve', by: 'alice' });

    const { id: commentId } = await control.comment({
      repository,
      number,
      body: '@eka-ci merge',
      by: 'alice',
    });
    await control.addFault({ method: 'POST', path: '/comments$', ...lose });
    await control.addFault({ method: 'POST', path: '/reactions$', ...lose });
    await react(client, { repository, commentId, reaction: 'accepted' });
    const comment = { repository, number, key: 'reply:1', text: 'denied', sinceMs: Date.now() - 60_000 };
    const replyId = await putComment({ client, appId }, { comment, knownId: null });
    await putComment({ client, appId }, { comment: { ...comment, text: 'granted' }, knownId: replyId });
    const comments = await control.readComments({ repository, number });
    expect(comments.map(({ body }) => body)).toEqual(['@eka-ci merge', '<!-- ekaci:reply:1 -->\ngranted']);
    expect(comments[0]?.reactions.map(({ content }) => content)).toEqual(['+1']);
    await control.settle({});
    expect(receiver.events()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'change-opened', isNew: true }),
        expect.objectContaining({ kind: 'gate-action', action: 'approve' }),
        expect.objectContaining({ kind: 'comment-created', text: '@eka-ci merge', changeNumber: number }),
      ]),
    );
  });

  it('merges exactly the head that was asked for, and queues where the branch wants that', async () => {
    const { client } = installation;
    const { control } = github;
    const first = await openChange('merged');
    const request = { repository, ...first, method: 'squash' } as const;
    const other = 'a'.repeat(40) as CommitSha;
    expect(await mergeChange(client, { ...request, headSha: other })).toEqual({ kind: 'head-moved' });
    await control.addFault({ method: 'PUT', path: '/merge$', takesEffect: true, fault: { kind: 'cutBody' } });
    const merged = await mergeChange(client, request);
    expect(merged).toMatchObject({
      kind: 'merged',
      mergedAs: expect.stringMatching(/^[0-9a-f]{40}$/) as unknown,
    });
    expect(await mergeChange(client, request)).toEqual(merged);
    expect(await findChange(client, { repository, number: first.number })).toMatchObject({ isMerged: true });
    const second = await openChange('queued');
    expect(await hasMergeQueue(client, { repository, branch: 'main' })).toBe(false);
    await control.protect({ repository, branch: 'main', mergeQueue: true });
    expect(await hasMergeQueue(client, { repository, branch: 'main' })).toBe(true);
    expect(await enqueueChange(client, { repository, ...second, headSha: other })).toEqual({
      kind: 'head-moved',
    });
    expect(await enqueueChange(client, { repository, ...second })).toEqual({ kind: 'queued' });
    expect(await enqueueChange(client, { repository, ...second })).toEqual({ kind: 'queued' });
    await control.settle({});
    expect(receiver.events()).toEqual(
      expect.arrayContaining([expect.objectContaining({ kind: 'merge-group-requested' })]),
    );
  });

  it('gets again what did not arrive, under the same delivery id', async () => {
    const appClient = apps.asApp('default');
    if (appClient === null) throw new Error('there is no such app');
    const { control } = github;
    await control.settle({});
    const sinceMs = Date.now() - 60_000;
    receiver.answers.status = 503;
    receiver.received.length = 0;
    await control.push({ repository, branch: 'lost', files: { b: '1' }, from: 'main', by: 'alice' });
    await control.settle({});
    receiver.answers.status = 202;
    const failed = await listFailedDeliveries(appClient, sinceMs);
    expect(failed.items.map(({ eventName }) => eventName)).toContain('push');
    for (const one of failed.items) await redeliver(appClient, one);
    await control.settle({});
    const pushes = receiver.received.flatMap((one) =>
      one.kind === 'received' && one.eventName === 'push' ? [one] : [],
    );
    expect(pushes).toHaveLength(2);
    expect(new Set(pushes.map(({ deliveryId }) => deliveryId)).size).toBe(1);
    expect((await listFailedDeliveries(appClient, sinceMs)).items).toEqual([]);
  });

  it('follows a repository to its new name', async () => {
    await github.control.renameRepository({ repository, name: 'packages', by: 'alice' });
    await github.control.settle({});
    expect(await findRepository(installation.client, repository)).toMatchObject({
      id: ids.repository,
      name: 'octo/packages',
    });
    expect(receiver.events()).toEqual(
      expect.arrayContaining([expect.objectContaining({ kind: 'repository-renamed', oldName: repository })]),
    );
  });
});
