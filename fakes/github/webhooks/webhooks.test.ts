// What is delivered has the shape of what GitHub publishes, is signed, and goes wrong in every way that it can.
import { createHmac } from 'node:crypto';
import examples from '@octokit/webhooks-examples';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { usedWebhooks } from '../api/used-paths.ts';
import { isJsonObject, type Json, type JsonObject, wordOf } from '../state/json.ts';
import { buildTown, secret, signJwt, type Town } from '../testing/town.ts';

let town: Town;
const repository = 'octo/pkgs';
const R = `/repos/${repository}`;

beforeAll(async () => {
  town = await buildTown({ webhookTimeoutMs: 2000 });
});
afterAll(() => town.close());
afterEach(async () => {
  town.receiver.answerWith(202);
  await town.github.control.setWebhookMode({ mode: 'deliver' });
  await town.github.control.settle({});
});

type Published = readonly { readonly name: string; readonly examples: readonly JsonObject[] }[];

/** All published examples of an event and action. */
const examplesOf = (event: string, action: Json | undefined): readonly JsonObject[] => {
  const all = (examples as unknown as Published).filter(({ name }) => name === event);
  return all.flatMap((one) => one.examples).filter((one) => one['action'] === action);
};

const typeOf = (value: Json | undefined): string => {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
};

/** Seconds in old examples; the document, and examples that are newer, have ISO 8601. */
const renewed = new Set(['installation.created_at', 'installation.updated_at']);

/** Members that every example has and the payload lacks, or has with a type that no example has. */
const findGaps = (payload: JsonObject, published: readonly JsonObject[], at = ''): string[] => {
  const [first = {}] = published;
  const common = Object.keys(first).filter((key) => published.every((one) => key in one));
  return common.flatMap((key) => {
    const values = published.map((one) => one[key]);
    const own = payload[key];
    const types = new Set(values.map(typeOf));
    // Whether it may be null the document says, by which the fake has checked it already.
    const fits = types.has(typeOf(own)) || (own === null ? true : types.size === 1 && types.has('null'));
    if (renewed.has(`${at}${key}`)) return [];
    if (own === undefined || !fits) return [`${at}${key}: ${typeOf(own)} for ${[...types].join('|')}`];
    // What an app may do is its own affair.
    if (key === 'permissions') return [];
    const objects = values.filter((one): one is JsonObject => isJsonObject(one));
    return isJsonObject(own) && objects.length === values.length
      ? findGaps(own, objects, `${at}${key}.`)
      : [];
  });
};

/** Brings about every delivery that the fake knows. */
const liveThroughEverything = async (): Promise<void> => {
  const { control } = town.github;
  const by = 'alice';
  const { sha } = await control.push({ repository, branch: 'topic', files: { 'b.nix': '2\n' }, by });
  const { number } = await control.openPull({ repository, head: 'topic', draft: true, by });
  const one = { repository, number, by };
  await control.push({ repository, branch: 'topic', files: { 'b.nix': '3\n' }, by });
  await control.setDraft({ ...one, draft: false });
  await control.setDraft({ ...one, draft: true });
  await control.setDraft({ ...one, draft: false });
  await control.push({ repository, branch: 'next', files: { 'c.nix': '1\n' }, by });
  await control.editPull({ ...one, title: 'Another', base: 'next' });
  await control.editPull({ ...one, base: 'main' });
  await control.closePull(one);
  await control.reopenPull(one);
  const comment = await control.comment({ ...one, body: '@eka-ci merge' });
  await control.editComment({ comment: comment.id, body: 'no', by });
  await control.deleteComment({ comment: comment.id, by });
  const review = await control.review({ ...one, by: 'bob', state: 'APPROVED' });
  await control.dismissReview({ review: review.id, by });
  const actions = [{ label: 'Approve', description: 'Let it build', identifier: 'approve' }];
  const made = await town.send('POST', `${R}/check-runs`, { body: { name: 'gate', head_sha: sha, actions } });
  const run = Number(made.body['id']);
  await control.pressAction({ run, identifier: 'approve', by });
  await control.rerequestRun({ run, by });
  await town.send('PATCH', `${R}/check-runs/${run}`, { body: { conclusion: 'success' } });
  const [read] = await control.readChecks({ repository, sha });
  await control.rerequestSuite({ suite: read?.suiteId ?? 0, by });
  await town.send('POST', `${R}/statuses/${sha}`, { body: { state: 'success' } });
  await control.startWorkflowRun({ ...one, waitsForApproval: true });
  await control.protect({ repository, branch: 'main', mergeQueue: true });
  await control.enqueue(one);
  await control.dequeue(one);
  await control.unprotect({ repository, branch: 'main' });
  await control.mergePull(one);
  await control.deleteBranch({ repository, branch: 'topic', by });
  await control.createRepository({ owner: 'octo', name: 'other' });
  const { installation } = town;
  await control.changeInstalledRepositories({ installation, remove: ['octo/other'], by });
  await control.changeInstalledRepositories({ installation, add: ['octo/other'], by });
  await control.acceptPermissions({ installation, permissions: { ...(await permissions()) }, by });
  await control.suspendInstallation({ installation, suspended: true, by });
  await control.suspendInstallation({ installation, suspended: false, by });
  await control.setVisibility({ repository: 'octo/other', private: true, by });
  await control.setVisibility({ repository: 'octo/other', private: false, by });
  await control.renameRepository({ repository: 'octo/other', name: 'third', by });
  await control.createOrganization({ login: 'elsewhere' });
  const away = await control.install({ app: town.app.id, account: 'elsewhere' });
  await control.createRepository({ owner: 'alice', name: 'own' });
  await control.transferRepository({ repository: 'alice/own', owner: 'elsewhere', by });
  await control.deleteRepository({ repository: 'elsewhere/own', by });
  await control.removeInstallation({ installation: away.id, by });
  await control.settle({});
};

const permissions = async (): Promise<Record<string, 'read' | 'write'>> => {
  const { body } = await town.sendApp('GET', `/app/installations/${town.installation}`);
  return body['permissions'] as Record<string, 'read' | 'write'>;
};

describe('deliveries', () => {
  it('are all that the fake knows, in the shape of every published example', async () => {
    await liveThroughEverything();
    const seen = new Set<string>();
    const gaps = town.receiver.received.flatMap(({ event, payload }) => {
      const action = payload['action'];
      seen.add([event, ...(typeof action === 'string' ? [action] : [])].join('-').replaceAll('_', '-'));
      return findGaps(payload, examplesOf(event, action)).map(
        (gap) => `${event} ${typeof action === 'string' ? action : ''} ${gap}`,
      );
    });
    expect([...new Set(gaps)]).toEqual([]);
    expect([...seen].toSorted()).toEqual([...usedWebhooks].toSorted());
    expect(await town.github.control.readViolations({})).toEqual([]);
  });

  it('would not do without a member that every example has', () => {
    const [published] = examplesOf('check_run', 'rerequested');
    const { check_run: _, ...without } = published ?? {};
    expect(findGaps(without, examplesOf('check_run', 'rerequested'))).toEqual([
      'check_run: missing for object',
    ]);
  });

  it('are signed over their bytes, and say which hook of which app they are', async () => {
    const [first] = town.receiver.received;
    const digest = createHmac('sha256', secret)
      .update(first?.raw ?? '')
      .digest('hex');
    expect(first?.headers).toMatchObject({
      'x-hub-signature-256': `sha256=${digest}`,
      'x-github-event': 'ping',
      'x-github-delivery': expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      'x-github-hook-id': expect.stringMatching(/^\d+$/) as string,
      'x-github-hook-installation-target-id': `${town.app.id}`,
      'x-github-hook-installation-target-type': 'integration',
      'user-agent': expect.stringMatching(/^GitHub-Hookshot\//) as string,
      'content-type': 'application/json',
    });
  });

  const comment = async (body: string): Promise<void> => {
    await town.github.control.comment({ repository, number: 1, body, by: 'bob' });
  };
  const heard = async (): Promise<readonly Json[]> => {
    const all = await town.delivered('issue_comment', 'created');
    return all.map(({ comment: one }) => (isJsonObject(one) ? (one['body'] ?? null) : null));
  };

  it('can be held and come in another order, doubled, lost, or with a wrong signature', async () => {
    const { control } = town.github;
    const before = (await heard()).length;
    await control.setWebhookMode({ mode: 'hold' });
    await comment('first');
    await comment('second');
    const held = await control.listHeld({});
    expect(held).toHaveLength(2);
    await control.releaseHeld({ ids: held.map(({ id }) => id).toReversed() });
    expect((await heard()).slice(before)).toEqual(['second', 'first']);
    await control.setWebhookMode({ mode: 'double' });
    await comment('twice');
    expect((await heard()).slice(before + 2)).toEqual(['twice', 'twice']);
    const [one, two] = town.receiver.received.slice(-2);
    expect(one?.headers['x-github-delivery']).toBe(two?.headers['x-github-delivery']);
    await control.setWebhookMode({ mode: 'lose' });
    await comment('lost');
    await control.setWebhookMode({ mode: 'wrongSecret' });
    await comment('forged');
    expect((await heard()).slice(before + 4)).toEqual(['forged']);
    const last = town.receiver.received.at(-1);
    const digest = createHmac('sha256', secret)
      .update(last?.raw ?? '')
      .digest('hex');
    expect(last?.headers['x-hub-signature-256']).not.toBe(`sha256=${digest}`);
  });

  it('that failed are listed, and come again with the same id when they are asked for', async () => {
    const { control } = town.github;
    const sendApp = town.as(signJwt(town.app.privateKey, town.app.clientId));
    await control.setWebhookMode({ mode: 'drop' });
    await comment('dropped');
    await control.setWebhookMode({ mode: 'deliver' });
    town.receiver.answerWith(500);
    await comment('refused');
    await control.settle({});
    town.receiver.answerWith(null);
    await comment('not answered');
    await control.settle({});
    town.receiver.answerWith(202);
    const { list } = await sendApp('GET', '/app/hook/deliveries?status=failure');
    expect(list.slice(0, 3).map(({ status }) => status)).toEqual([
      'timed out',
      'Invalid HTTP Response: 500',
      'failed to connect to host',
    ]);
    const dropped = list[2];
    await sendApp('POST', `/app/hook/deliveries/${wordOf(dropped?.['id'])}/attempts`);
    expect((await heard()).at(-1)).toBe('dropped');
    expect(town.receiver.received.at(-1)?.headers['x-github-delivery']).toBe(dropped?.['guid']);
    const newest = await sendApp('GET', '/app/hook/deliveries?per_page=1');
    expect(newest.list[0]).toMatchObject({ redelivery: true, status: 'OK', guid: dropped?.['guid'] });
  });

  it('are for those who subscribed, may know, and are not suspended', async () => {
    const { control } = town.github;
    const narrow = await control.createApp({
      slug: 'narrow',
      owner: 'octo',
      permissions: { metadata: 'read' },
      events: ['issue_comment', 'repository'],
      hookUrl: town.receiver.url,
    });
    const { id } = await control.install({ app: narrow.id, account: 'octo' });
    await comment('not for narrow');
    await control.setVisibility({ repository, private: true, by: 'alice' });
    await control.suspendInstallation({ installation: id, suspended: true, by: 'alice' });
    await control.setVisibility({ repository, private: false, by: 'alice' });
    await control.settle({});
    const own = town.receiver.received.filter(
      ({ headers }) => headers['x-github-hook-installation-target-id'] === `${narrow.id}`,
    );
    expect(own.map(({ event, payload }) => [event, payload['action']])).toEqual([
      ['ping', undefined],
      ['installation', 'created'],
      ['repository', 'privatized'],
      ['installation', 'suspend'],
    ]);
    expect(own.every(({ headers }) => headers['x-hub-signature-256'] === undefined)).toBe(true);
  });

  it('can be forms', async () => {
    const { control } = town.github;
    const hook = { hookUrl: town.receiver.url, hookSecret: secret, hookContentType: 'form' } as const;
    await control.createApp({ slug: 'forms', owner: 'octo', ...hook });
    await control.settle({});
    const ping = town.receiver.received.at(-1);
    expect(ping?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(ping?.raw).toMatch(/^payload=%7B/);
    const digest = createHmac('sha256', secret)
      .update(ping?.raw ?? '')
      .digest('hex');
    expect(ping?.headers['x-hub-signature-256']).toBe(`sha256=${digest}`);
  });
});
