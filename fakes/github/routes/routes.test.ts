// Every route is called with good and bad input; what it answers is what GitHub's document says.
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readApiDocument } from '../api/document.ts';
import { usedPaths, usedWebhooks } from '../api/used-paths.ts';
import { type Json, wordOf } from '../state/json.ts';
import { buildTown, type Send, type Town } from '../testing/town.ts';
import { createRoutes } from './routes.ts';

let town: Town;
let head: string;
const R = '/repos/octo/pkgs';

beforeAll(async () => {
  town = await buildTown();
  const { control } = town.github;
  const repository = 'octo/pkgs';
  ({ sha: head } = await control.push({
    repository,
    branch: 'topic',
    files: { 'b.nix': '2\n' },
    by: 'alice',
  }));
  await control.openPull({ repository, head: 'topic', by: 'alice' });
  await control.protect({
    repository,
    branch: 'main',
    requiredChecks: [{ context: 'CI' }],
    mergeQueue: true,
  });
});
afterAll(() => town.close());

interface Ask {
  readonly operation: string;
  readonly path: string;
  readonly by?: Send;
  readonly body?: Json;
  readonly status?: number;
}

const asked = new Set<string>();

const ask = async ({ operation, path, by = town.send, body, status = 200 }: Ask) => {
  asked.add(operation);
  const [method = ''] = operation.split(' ');
  const reply = await by(method, path, body === undefined ? {} : { body });
  expect([operation, reply.status, reply.body['message'] ?? '']).toEqual([
    operation,
    status,
    expect.anything(),
  ]);
  return reply;
};

const repo = (rest: string): string => `/repos/{owner}/{repo}${rest}`;

/** Reads that need nothing but the town: operation → path. */
const reads: Readonly<Record<string, string | (() => string)>> = {
  'GET /installation/repositories': '/installation/repositories',
  'GET /orgs/{org}/members/{username}': '/orgs/octo/members/bob',
  'GET /orgs/{org}/memberships/{username}': '/orgs/octo/memberships/alice',
  'GET /rate_limit': '/rate_limit',
  [`GET ${repo('')}`]: R,
  [`GET ${repo('/actions/runs')}`]: `${R}/actions/runs`,
  [`GET ${repo('/branches')}`]: `${R}/branches?protected=true`,
  [`GET ${repo('/branches/{branch}')}`]: `${R}/branches/main`,
  [`GET ${repo('/branches/{branch}/protection')}`]: `${R}/branches/main/protection`,
  [`GET ${repo('/rules/branches/{branch}')}`]: `${R}/rules/branches/main`,
  [`GET ${repo('/collaborators/{username}')}`]: `${R}/collaborators/alice`,
  [`GET ${repo('/collaborators/{username}/permission')}`]: `${R}/collaborators/bob/permission`,
  [`GET ${repo('/commits')}`]: `${R}/commits?sha=topic&path=b.nix`,
  [`GET ${repo('/commits/{commit_sha}/pulls')}`]: () => `${R}/commits/${head}/pulls`,
  [`GET ${repo('/commits/{ref}')}`]: `${R}/commits/topic`,
  [`GET ${repo('/commits/{ref}/check-runs')}`]: `${R}/commits/topic/check-runs`,
  [`GET ${repo('/commits/{ref}/check-suites')}`]: `${R}/commits/topic/check-suites`,
  [`GET ${repo('/commits/{ref}/status')}`]: `${R}/commits/topic/status`,
  [`GET ${repo('/commits/{ref}/statuses')}`]: `${R}/commits/topic/statuses`,
  [`GET ${repo('/compare/{basehead}')}`]: `${R}/compare/main...topic`,
  [`GET ${repo('/contents/{path}')}`]: `${R}/contents/b.nix?ref=topic`,
  [`GET ${repo('/git/matching-refs/{ref}')}`]: `${R}/git/matching-refs/pull/1`,
  [`GET ${repo('/git/ref/{ref}')}`]: `${R}/git/ref/heads/topic`,
  [`GET ${repo('/issues/{issue_number}/comments')}`]: `${R}/issues/1/comments`,
  [`GET ${repo('/pulls')}`]: `${R}/pulls?head=octo:topic`,
  [`GET ${repo('/pulls/{pull_number}')}`]: `${R}/pulls/1`,
  [`GET ${repo('/pulls/{pull_number}/commits')}`]: `${R}/pulls/1/commits`,
  [`GET ${repo('/pulls/{pull_number}/files')}`]: `${R}/pulls/1/files`,
  [`GET ${repo('/pulls/{pull_number}/reviews')}`]: `${R}/pulls/1/reviews`,
  'GET /user/{account_id}': () => `/user/${town.app.id - 1}`,
  'GET /users/{username}': '/users/alice',
};

/** What is there only for other eyes, or not at all. */
const empty = new Set([`GET /orgs/{org}/members/{username}`, `GET ${repo('/collaborators/{username}')}`]);

describe('routes', () => {
  it('are those of the document, no more and no less', () => {
    const document = readApiDocument();
    const operations = document.operations.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(Object.keys(createRoutes(() => {})))).toEqual(new Set(operations));
    expect(Object.keys(usedPaths).length).toBeGreaterThan(50);
    expect(document.webhooks).toEqual(new Set(usedWebhooks));
    expect(document.version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('take parameters whose schemas are ones', () => {
    const ajv = new Ajv({ strict: false });
    const schemas = readApiDocument().operations.flatMap(({ parameters }) =>
      parameters.map((one) => one.schema),
    );
    expect(schemas.length).toBeGreaterThan(50);
    expect(schemas.filter((schema) => ajv.validateSchema(schema) !== true)).toEqual([]);
  });

  it.each(Object.entries(reads).filter(([operation]) => !empty.has(operation)))(
    '%s reads',
    async (operation, path) => {
      await ask({ operation, path: typeof path === 'string' ? path : path() });
    },
  );

  it('tell who is a member and who is a collaborator by status alone', async () => {
    const member = 'GET /orgs/{org}/members/{username}';
    await ask({ operation: member, path: '/orgs/octo/members/alice', status: 204 });
    await ask({ operation: member, path: '/orgs/octo/members/bob', status: 404 });
    await ask({ operation: member, path: '/orgs/octo/members/alice', by: town.sendBob, status: 302 });
    const collaborator = `GET ${repo('/collaborators/{username}')}`;
    await ask({ operation: collaborator, path: `${R}/collaborators/alice`, status: 204 });
    await ask({ operation: collaborator, path: `${R}/collaborators/bob`, status: 404 });
  });

  it('of apps answer a signed token, and nobody else', async () => {
    const by = town.sendApp;
    const installation = `/app/installations/${town.installation}`;
    await ask({ operation: 'GET /app', path: '/app', by });
    await ask({ operation: 'GET /app', path: '/app', status: 401 });
    await ask({ operation: 'GET /app/hook/config', path: '/app/hook/config', by });
    await ask({ operation: 'GET /app/installations', path: '/app/installations', by });
    await ask({ operation: 'GET /app/installations/{installation_id}', path: installation, by });
    await ask({
      operation: 'GET /app/installations/{installation_id}',
      path: '/app/installations/1',
      by,
      status: 404,
    });
    await ask({ operation: 'GET /orgs/{org}/installation', path: '/orgs/octo/installation', by });
    await ask({
      operation: 'GET /users/{username}/installation',
      path: '/users/bob/installation',
      by,
      status: 404,
    });
    await ask({ operation: `GET ${repo('/installation')}`, path: `${R}/installation`, by });
    const token = 'POST /app/installations/{installation_id}/access_tokens';
    const path = `${installation}/access_tokens`;
    const narrow = { repositories: ['pkgs'], permissions: { checks: 'write' } };
    await ask({ operation: token, path, by, body: narrow, status: 201 });
    await ask({ operation: token, path, by, body: { repositories: ['none'] }, status: 422 });
    await ask({ operation: token, path, by, body: { permissions: { secrets: 'write' } }, status: 422 });
  });

  it('of deliveries list, show and send again', async () => {
    const by = town.sendApp;
    await town.github.control.settle({});
    const listed = await ask({
      operation: 'GET /app/hook/deliveries',
      path: '/app/hook/deliveries?per_page=2',
      by,
    });
    expect(listed.list).toHaveLength(2);
    const next = /<http:\/\/[^/]+([^>]+)>; rel="next"/.exec(listed.headers.get('link') ?? '')?.[1] ?? '';
    const more = await ask({ operation: 'GET /app/hook/deliveries', path: next, by });
    expect(more.list[0]?.['id']).not.toBe(listed.list[1]?.['id']);
    const id = wordOf(listed.list[0]?.['id']);
    const one = 'GET /app/hook/deliveries/{delivery_id}';
    await ask({ operation: one, path: `/app/hook/deliveries/${id}`, by });
    await ask({ operation: one, path: '/app/hook/deliveries/1', by, status: 404 });
    const again = 'POST /app/hook/deliveries/{delivery_id}/attempts';
    await ask({ operation: again, path: `/app/hook/deliveries/${id}/attempts`, by, status: 202 });
  });

  it('of check runs and suites', async () => {
    const run = { name: 'CI job', head_sha: head, status: 'in_progress' };
    const make = `POST ${repo('/check-runs')}`;
    const { body } = await ask({ operation: make, path: `${R}/check-runs`, body: run, status: 201 });
    const at = `${R}/check-runs/${wordOf(body['id'])}`;
    await ask({ operation: `GET ${repo('/check-runs/{check_run_id}')}`, path: at });
    await ask({
      operation: `GET ${repo('/check-runs/{check_run_id}')}`,
      path: `${R}/check-runs/1`,
      status: 404,
    });
    const patch = `PATCH ${repo('/check-runs/{check_run_id}')}`;
    const annotation = {
      path: 'b.nix',
      start_line: 1,
      end_line: 1,
      annotation_level: 'failure',
      message: 'broken',
    };
    const output = { title: 'One failed', summary: 'b', annotations: [annotation] };
    await ask({ operation: patch, path: at, body: { status: 'in_progress', output } });
    await ask({
      operation: `GET ${repo('/check-runs/{check_run_id}/annotations')}`,
      path: `${at}/annotations`,
    });
    await ask({
      operation: `POST ${repo('/check-runs/{check_run_id}/rerequest')}`,
      path: `${at}/rerequest`,
      status: 201,
    });
    const suite = await ask({
      operation: `POST ${repo('/check-suites')}`,
      path: `${R}/check-suites`,
      body: { head_sha: head },
    });
    const suiteAt = `${R}/check-suites/${wordOf(suite.body['id'])}`;
    await ask({ operation: `GET ${repo('/check-suites/{check_suite_id}')}`, path: suiteAt });
    await ask({
      operation: `GET ${repo('/check-suites/{check_suite_id}/check-runs')}`,
      path: `${suiteAt}/check-runs`,
    });
    await ask({
      operation: `POST ${repo('/check-suites/{check_suite_id}/rerequest')}`,
      path: `${suiteAt}/rerequest`,
      status: 201,
    });
    const status = `POST ${repo('/statuses/{sha}')}`;
    await ask({
      operation: status,
      path: `${R}/statuses/${head}`,
      body: { state: 'pending', context: 'old' },
      status: 201,
    });
    await ask({
      operation: status,
      path: `${R}/statuses/${'0'.repeat(40)}`,
      body: { state: 'pending' },
      status: 422,
    });
    await ask({ operation: `GET ${repo('/commits/{ref}/status')}`, path: `${R}/commits/${head}/status` });
  });

  it('of comments, reactions and reviews', async () => {
    const make = `POST ${repo('/issues/{issue_number}/comments')}`;
    const { body } = await ask({
      operation: make,
      path: `${R}/issues/1/comments`,
      body: { body: 'hello' },
      status: 201,
    });
    await ask({ operation: make, path: `${R}/issues/9/comments`, body: { body: 'hello' }, status: 404 });
    const at = `${R}/issues/comments/${wordOf(body['id'])}`;
    const comment = '/issues/comments/{comment_id}';
    await ask({ operation: `GET ${repo(comment)}`, path: at });
    await ask({ operation: `PATCH ${repo(comment)}`, path: at, body: { body: 'hello again' } });
    const react = `POST ${repo(`${comment}/reactions`)}`;
    const made = await ask({
      operation: react,
      path: `${at}/reactions`,
      body: { content: '+1' },
      status: 201,
    });
    await ask({ operation: react, path: `${at}/reactions`, body: { content: '+1' } });
    await ask({ operation: `GET ${repo(`${comment}/reactions`)}`, path: `${at}/reactions?content=%2B1` });
    const gone = `${at}/reactions/${wordOf(made.body['id'])}`;
    await ask({ operation: `DELETE ${repo(`${comment}/reactions/{reaction_id}`)}`, path: gone, status: 204 });
    await ask({ operation: `DELETE ${repo(comment)}`, path: at, status: 204 });
    await ask({ operation: `GET ${repo(comment)}`, path: at, status: 404 });
    const review = await ask({
      operation: `POST ${repo('/pulls/{pull_number}/reviews')}`,
      path: `${R}/pulls/1/reviews`,
      body: { event: 'APPROVE', body: 'fine' },
    });
    const reviewAt = `${R}/pulls/1/reviews/${wordOf(review.body['id'])}`;
    await ask({ operation: `GET ${repo('/pulls/{pull_number}/reviews/{review_id}')}`, path: reviewAt });
  });

  it('of workflow runs', async () => {
    const { control } = town.github;
    const { id } = await control.startWorkflowRun({
      repository: 'octo/pkgs',
      number: 1,
      waitsForApproval: true,
    });
    const listed = await ask({
      operation: `GET ${repo('/actions/runs')}`,
      path: `${R}/actions/runs?status=action_required`,
    });
    expect(listed.body['total_count']).toBe(1);
    await ask({ operation: `GET ${repo('/actions/runs/{run_id}')}`, path: `${R}/actions/runs/${id}` });
    const approve = {
      operation: `POST ${repo('/actions/runs/{run_id}/approve')}`,
      path: `${R}/actions/runs/${id}/approve`,
    };
    await ask({ ...approve, by: town.sendBob, status: 403 });
    await ask({ ...approve, by: town.sendAlice, status: 201 });
    await ask({ ...approve, by: town.sendAlice, status: 403 });
  });

  it('of people, by their own tokens', async () => {
    await ask({ operation: 'GET /user', path: '/user', by: town.sendAlice });
    await ask({ operation: 'GET /user', path: '/user', by: town.sendNobody, status: 401 });
    await ask({ operation: 'GET /user', path: '/user', status: 403 });
    await ask({ operation: 'GET /user/orgs', path: '/user/orgs', by: town.sendAlice });
    const membership = 'GET /user/memberships/orgs/{org}';
    await ask({ operation: membership, path: '/user/memberships/orgs/octo', by: town.sendAlice });
    await ask({ operation: membership, path: '/user/memberships/orgs/octo', by: town.sendBob, status: 404 });
  });

  it('of merges', async () => {
    await ask({
      operation: `GET ${repo('/pulls/{pull_number}/merge')}`,
      path: `${R}/pulls/1/merge`,
      status: 404,
    });
    const put = `PUT ${repo('/pulls/{pull_number}/merge')}`;
    await ask({ operation: put, path: `${R}/pulls/1/merge`, body: { sha: head }, status: 405 });
    await town.github.control.unprotect({ repository: 'octo/pkgs', branch: 'main' });
    await ask({ operation: put, path: `${R}/pulls/1/merge`, body: { sha: head } });
    await ask({
      operation: `GET ${repo('/pulls/{pull_number}/merge')}`,
      path: `${R}/pulls/1/merge`,
      status: 204,
    });
  });

  it('lead to an archive of a commit', async () => {
    await ask({ operation: `GET ${repo('/tarball/{ref}')}`, path: `${R}/tarball/topic`, status: 302 });
  });

  it('were all asked but those of signing in, without one answer that the document does not know', async () => {
    const elsewhere = ['POST', 'DELETE'].map((method) => `${method} /applications/{client_id}/token`);
    const signedIn = ['GET /user/installations', 'GET /user/installations/{installation_id}/repositories'];
    const all = Object.keys(createRoutes(() => {}));
    expect(all.filter((one) => !asked.has(one)).toSorted()).toEqual([...elsewhere, ...signedIn].toSorted());
    expect(await town.github.control.readViolations({})).toEqual([]);
  });

  it('refuse what the document does not allow, and keep it on record', async () => {
    const bad = [
      { name: 'x' },
      { name: 'x', head_sha: head, conclusion: 'great' },
      {
        name: 'x',
        head_sha: head,
        actions: [{ label: 'longer than twenty characters', description: '', identifier: 'a' }],
      },
    ];
    for (const body of bad) {
      const reply = await town.send('POST', `${R}/check-runs`, { body });
      expect(reply.status).toBe(422);
      expect(reply.body['message']).toEqual(expect.stringMatching(/^Invalid request/));
    }
    expect((await town.send('GET', '/app/installations/abc')).status).toBe(404);
    await town.send('POST', `${R}/check-runs`, { body: { name: 'x', head_sha: head, externl_id: '1' } });
    expect((await town.send('GET', '/nowhere')).status).toBe(404);
    const kinds = (await town.github.control.readViolations({})).map(({ kind }) => kind);
    expect(kinds).toEqual(['request', 'request', 'request', 'request', 'unknown', 'unknown']);
  });
});
