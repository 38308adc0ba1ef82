// What a person sees and does in a browser: pages of real pull requests, in which nothing that anybody wrote is HTML.
import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { wordOf } from '../../state/json.ts';
import { buildTown, type Town } from '../../testing/town.ts';

const repository = 'octo/pkgs';
const hostile = '</pre><script>alert(1)</script><img src=x onerror=alert(2)> "quoted" & \'so\'';

const nowhere = ['/octo/none', '/octo/pkgs/pull/99', '/octo/pkgs/commit/abc', '/octo/pkgs/pull/1/x'];

let town: Town;
let sha: string;
beforeAll(async () => {
  town = await buildTown();
  const { control } = town.github;
  ({ sha } = await control.push({ repository, branch: 'topic', files: { b: '1' }, by: 'alice' }));
  await control.push({ repository, branch: 'other', files: { c: '1' }, by: 'alice' });
  await control.openPull({ repository, head: 'topic', title: `Pull ${hostile}`, body: hostile, by: 'bob' });
});
afterAll(async () => {
  const violations = await town.github.control.readViolations({});
  await town.close();
  // A browser too can ask the API for what it has not.
  expect(violations.map(({ what }) => what)).toEqual(nowhere.map((path) => `GET ${path}`));
});

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(town.github.url + path, { headers: { accept: 'text/html,*/*;q=0.8', ...headers } });
const page = async (path: string): Promise<string> => {
  const answer = await get(path);
  expect(answer).toMatchObject({ status: 200 });
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  return answer.text();
};
const post = (form: string, fields: Readonly<Record<string, string>>, login = 'alice'): Promise<Response> =>
  fetch(`${town.github.url}/_form/${form}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: `one=1; fake-github-login=${login}` },
    body: new URLSearchParams(fields),
  });
const pull = { repository, number: '1', back: '/octo/pkgs/pull/1' };

it('shows checks as they come, with their buttons, and pressing one is told to the app', async () => {
  expect(await page('/octo/pkgs/pull/1')).toContain('None yet');
  const summary = { title: 'two of three', summary: `# Summary ${hostile}` };
  const annotation = { path: 'b', start_line: 1, end_line: 1, annotation_level: 'failure', message: hostile };
  const approve = { label: 'Approve', description: 'Let it go', identifier: 'approve' };
  const made = { status: 'completed', conclusion: 'action_required', actions: [approve] };
  const body = { name: 'EkaCI', head_sha: sha, ...made, output: { ...summary, annotations: [annotation] } };
  const { body: run } = await town.send('POST', `/repos/${repository}/check-runs`, { body });
  const shown = await page('/octo/pkgs/pull/1');
  for (const text of [
    'EkaCI',
    'action required',
    'two of three',
    '# Summary',
    'b:1',
    '>Approve<',
    'Re-run',
  ]) {
    expect(shown).toContain(text);
  }
  expect(await page(`/octo/pkgs/commit/${sha}`)).toContain('two of three');
  const pressed = { run: wordOf(run['id']), identifier: 'approve', back: pull.back };
  const answer = await post('pressAction', pressed);
  expect([answer.status, answer.headers.get('location')]).toEqual([303, pull.back]);
  expect(await town.delivered('check_run', 'requested_action')).toMatchObject([
    { sender: { login: 'alice' } },
  ]);
});

it('takes what somebody says, as who they say they are, and tells the app', async () => {
  expect((await post('comment', { ...pull, body: `${hostile} <!-- for programs -->` }, 'bob')).status).toBe(
    303,
  );
  const [comment] = await town.github.control.readComments({ repository, number: 1 });
  expect(comment).toMatchObject({ body: `${hostile} <!-- for programs -->` });
  expect(await town.delivered('issue_comment')).toMatchObject([{ sender: { login: 'bob' } }]);
  const shown = await page(pull.back);
  expect(shown).not.toContain('for programs');
  const become = await post('be', { login: 'bob', back: pull.back });
  expect(become.headers.get('set-cookie')).toMatch(/^fake-github-login=bob;/);
  const asBob = await get(pull.back, { cookie: 'fake-github-login=bob' });
  expect(await asBob.text()).toContain('You are <b>bob</b>');
});

it('lets nothing that anybody wrote be anything but text', async () => {
  for (const path of ['/', '/octo/pkgs', pull.back]) {
    const shown = await page(path);
    expect(shown).not.toContain('<script>alert');
    expect(shown).not.toContain('<img');
    // One of its own, which its policy names by its content.
    expect(shown.match(/<script/g)).toHaveLength(1);
  }
  for (const back of ['//elsewhere.example', 'https://elsewhere.example', '/\\elsewhere.example']) {
    const answer = await post('comment', { ...pull, body: 'hello', back });
    expect(answer.headers.get('location')).toBe('/');
  }
});

it('opens a pull request of a branch, and says why where something cannot be done', async () => {
  expect(await page('/octo/pkgs')).toContain('<option value="octo/pkgs:other">other</option>');
  const opened = await post('openPull', {
    repository,
    of: 'octo/pkgs:other',
    title: 'Other',
    back: '/octo/pkgs',
  });
  expect(opened.headers.get('location')).toBe('/octo/pkgs/pull/2');
  expect(await page('/octo/pkgs')).not.toContain('<option');
  const second = { ...pull, number: '2', back: '/octo/pkgs/pull/2' };
  const refused = await post('enqueue', second);
  expect(refused.status).toBe(422);
  expect(await refused.text()).toContain('The merge queue is not enabled for this branch');
  for (const [form, fields] of [
    ['deleteRepository', { repository }],
    ['comment', { repository }],
    ['openPull', { repository, of: 'x', title: 't' }],
  ] as const) {
    expect((await post(form, fields)).status).toBe(400);
  }
  expect((await post('mergePull', second)).status).toBe(303);
  expect(await page('/octo/pkgs/pull/2')).toContain('Merged');
});

it('does nothing for pages of others, by whatever name they find it', async () => {
  const { url } = town.github;
  const ask = (path: string, headers: Readonly<Record<string, string>>, method = 'POST'): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = request(url + path, { method, headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      // A GET with a body says no length: its body would be read as the next request of the connection.
      asked.once('error', reject).end(method === 'GET' ? undefined : '{}');
    });
  const elsewhere = { origin: 'https://elsewhere.example' };
  const { host, port } = new URL(url);
  for (const path of ['/_fake/readBranches', '/_form/comment', '/_fake/push']) {
    expect(await ask(path, elsewhere)).toBe(403);
    expect(await ask(path, { origin: 'null' })).toBe(403);
    expect(await ask(path, { host: `elsewhere.example:${port}` })).toBe(403);
  }
  expect(await ask('/', { host: `elsewhere.example:${port}`, accept: 'text/html' }, 'GET')).toBe(403);
  expect(await ask('/_fake/clearFaults', { origin: `http://${host}` })).toBe(200);
  expect(await ask('/_fake/clearFaults', {})).toBe(200);
});

it('leaves the API to programs, and answers a browser nothing of what there is not', async () => {
  const asProgram = await get('/repos/octo/pkgs', { accept: 'application/vnd.github+json' });
  expect(await asProgram.json()).toMatchObject({ full_name: repository });
  for (const path of nowhere) expect((await get(path)).status).toBe(404);
});
