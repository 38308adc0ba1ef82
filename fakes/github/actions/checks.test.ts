// Check runs and statuses by GitHub's rules.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Json, type JsonObject, wordOf } from '../state/json.ts';
import { allPermissions, buildTown, signJwt, type Town } from '../testing/town.ts';

let town: Town;
let sha: string;
const repository = 'octo/pkgs';
const R = `/repos/${repository}`;

beforeAll(async () => {
  town = await buildTown();
  ({ sha } = await town.github.control.push({ repository, branch: 'topic', files: { b: '1' }, by: 'alice' }));
});
afterAll(() => town.close());

const create = (body: JsonObject) =>
  town.send('POST', `${R}/check-runs`, { body: { head_sha: sha, ...body } });
const update = (id: Json | undefined, body: JsonObject) =>
  town.send('PATCH', `${R}/check-runs/${wordOf(id)}`, { body });

describe('a check run', () => {
  it('goes from queued to an end, and back when it is begun again', async () => {
    const queued = await create({ name: 'steps', external_id: 'ours' });
    expect(queued.body).toMatchObject({
      status: 'queued',
      conclusion: null,
      completed_at: null,
      external_id: 'ours',
    });
    const { id } = queued.body;
    expect((await update(id, { status: 'in_progress' })).body).toMatchObject({ status: 'in_progress' });
    const ended = await update(id, { conclusion: 'failure' });
    expect(ended.body).toMatchObject({ status: 'completed', conclusion: 'failure', external_id: 'ours' });
    expect(ended.body['completed_at']).not.toBeNull();
    const again = await update(id, { status: 'in_progress' });
    expect(again.body).toMatchObject({ status: 'in_progress', conclusion: null, completed_at: null });
  });

  it('is refused without a conclusion, with one that only GitHub gives, or for no commit', async () => {
    expect((await create({ name: 'x', status: 'completed' })).status).toBe(422);
    expect((await create({ name: 'x', details_url: 'ftp://a/b' })).status).toBe(422);
    expect((await create({ name: 'x', conclusion: 'stale' })).status).toBe(422);
    expect((await create({ name: 'x', head_sha: 'f'.repeat(40) })).body['message']).toBe(
      `No commit found for SHA: ${'f'.repeat(40)}`,
    );
    const long = { title: 'long', summary: 'x'.repeat(65_536) };
    expect((await create({ name: 'x', output: long })).status).toBe(422);
  });

  it('gathers annotations, fifty a request, and replaces the rest of its output', async () => {
    const annotation = { path: 'b', start_line: 1, end_line: 1, annotation_level: 'notice', message: 'm' };
    const annotations = Array.from({ length: 50 }, () => annotation);
    const { body } = await create({
      name: 'notes',
      output: { title: 't', summary: 'one', text: 'more', annotations },
    });
    const second = await update(body['id'], { output: { summary: 'two', annotations } });
    expect(second.body['output']).toMatchObject({
      title: 't',
      summary: 'two',
      text: null,
      annotations_count: 100,
    });
    const tooMany = { summary: 'three', annotations: [...annotations, annotation] };
    expect((await update(body['id'], { output: tooMany })).status).toBe(422);
  });

  it('supersedes the one of the same name', async () => {
    const first = await create({ name: 'same', conclusion: 'failure' });
    const second = await create({ name: 'same', conclusion: 'success' });
    const list = async (filter: string) => {
      const { body } = await town.send(
        'GET',
        `${R}/commits/${sha}/check-runs?check_name=same&filter=${filter}`,
      );
      return (body['check_runs'] as readonly JsonObject[]).map(({ id }) => id);
    };
    expect(await list('latest')).toEqual([second.body['id']]);
    expect(await list('all')).toEqual([second.body['id'], first.body['id']]);
  });

  it('is changed by the app that made it, and by no other', async () => {
    const { control } = town.github;
    const other = await control.createApp({ slug: 'other', owner: 'octo', permissions: allPermissions });
    const { id } = await control.install({ app: other.id, account: 'octo' });
    const token = await town.as(signJwt(other.privateKey, other.id))(
      'POST',
      `/app/installations/${id}/access_tokens`,
    );
    const made = await create({ name: 'ours' });
    const send = town.as(wordOf(token.body['token']));
    const refused = await send('PATCH', `${R}/check-runs/${wordOf(made.body['id'])}`, {
      body: { status: 'queued' },
    });
    expect([refused.status, refused.body['message']]).toEqual([
      403,
      expect.stringMatching(/^Invalid app_id/),
    ]);
  });

  it('has buttons that can be pressed while it shows them', async () => {
    const { control } = town.github;
    const actions = [{ label: 'Approve', description: 'Let it build', identifier: 'approve' }];
    const { body } = await create({ name: 'gate', conclusion: 'action_required', actions });
    const run = Number(body['id']);
    await control.pressAction({ run, identifier: 'approve', by: 'bob' });
    await control.rerequestRun({ run, by: 'bob' });
    const pressed = await town.delivered('check_run', 'requested_action');
    expect(pressed.at(-1)).toMatchObject({
      requested_action: { identifier: 'approve' },
      sender: { login: 'bob' },
    });
    expect((await town.delivered('check_run', 'rerequested')).at(-1)).toMatchObject({
      check_run: { id: run },
    });
    await update(run, { conclusion: 'success', actions: [] });
    await expect(control.pressAction({ run, identifier: 'approve', by: 'bob' })).rejects.toMatchObject({
      code: 'FAKE_GITHUB_CONTROL',
    });
  });

  it('ends its suite with the worst of what the newest runs say', async () => {
    const { control } = town.github;
    const pushed = await control.push({ repository, branch: 'suite', files: { c: '1' }, by: 'alice' });
    const head = { head_sha: pushed.sha };
    const one = await create({ ...head, name: 'one', conclusion: 'failure' });
    await create({ ...head, name: 'two', conclusion: 'success' });
    const suites = async () => {
      const { body } = await town.send(
        'GET',
        `${R}/commits/${pushed.sha}/check-suites?app_id=${town.app.id}`,
      );
      return (body['check_suites'] as readonly JsonObject[]).map(({ status, conclusion }) => [
        status,
        conclusion,
      ]);
    };
    expect(await suites()).toEqual([['completed', 'failure']]);
    await update(one.body['id'], { conclusion: 'success' });
    expect(await suites()).toEqual([['completed', 'success']]);
    await create({ ...head, name: 'two', status: 'in_progress' });
    expect(await suites()).toEqual([['in_progress', null]]);
  });
});

describe('statuses', () => {
  it('are combined by the newest of each context', async () => {
    const post = (body: JsonObject) => town.send('POST', `${R}/statuses/${sha}`, { body });
    await post({ state: 'failure', context: 'a' });
    await post({ state: 'pending', context: 'b' });
    await post({ state: 'success', context: 'a' });
    const combined = await town.send('GET', `${R}/commits/${sha}/status`);
    expect(combined.body).toMatchObject({ state: 'pending', total_count: 2 });
    expect((await post({ state: 'success', description: 'x'.repeat(141) })).status).toBe(422);
    expect(await town.github.control.readStatuses({ repository, sha })).toHaveLength(3);
  });
});
