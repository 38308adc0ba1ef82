// Events: every example that is published, each of our words, and payloads that are not what they should be.
import { createRequire } from 'node:module';
import examples from '@octokit/webhooks-examples';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { hostOfWebhook } from './webhook.ts';
import { readWebhookEvent } from './webhook-events.ts';

/** The package's types call it a module of something else than it is. */
const Published = z.array(
  z.object({ name: z.string(), examples: z.array(z.record(z.string(), z.unknown())) }),
);

interface Example {
  readonly name: string;
  readonly action: string | undefined;
  readonly payload: Record<string, unknown>;
}
const readExamples = (packaged: unknown): Example[] =>
  Published.parse(packaged).flatMap(({ name, examples: payloads }) =>
    payloads.map((payload) => {
      const action = payload['action'];
      return { name, action: typeof action === 'string' ? action : undefined, payload };
    }),
  );
const published: readonly Example[] = readExamples(examples);
/** As GitHub Enterprise Server sends them; imported, their type alone would take the compiler seconds. */
const ofEnterprise: readonly Example[] = readExamples(
  createRequire(import.meta.url)('@octokit/webhooks-examples/ghes-35/index.json'),
);
const example = (name: string, action?: string): Record<string, unknown> =>
  structuredClone(
    published.find((one) => one.name === name && (action === undefined || one.action === action))?.payload ??
      {},
  );

/** `event: actions` that we have no use for; whatever else is published must become an event. */
const ignoredOnPurpose: Readonly<Record<string, readonly string[]>> = {
  check_run: ['created', 'completed'],
  check_suite: ['completed', 'requested'],
  issue_comment: ['deleted', 'edited'],
  pull_request: [
    'assigned',
    'labeled',
    'locked',
    'review_request_removed',
    'review_requested',
    'unassigned',
    'unlabeled',
    'unlocked',
  ],
  organization: ['member_invited'],
  repository: ['created', 'edited'],
};
const ignoredWhole = [
  'branch_protection_rule, cache_sync, enterprise, secret_scanning_alert, secret_scanning_alert_location, user',
  'code_scanning_alert, commit_comment, create, delete, dependabot_alert, deploy_key',
  'deployment, deployment_review, deployment_status, discussion, discussion_comment, fork, github_app_authorization',
  'gollum, issues, label, marketplace_purchase, meta, milestone, org_block, package',
  'page_build, project, project_card, project_column, projects_v2_item, public, pull_request_review_comment',
  'pull_request_review_thread, release, repository_dispatch, repository_import, repository_vulnerability_alert',
  'security_advisory, sponsorship, star, status, watch, workflow_dispatch, workflow_job',
].flatMap((names) => names.split(', '));

/** Published examples of events that we know, which tell of something else than what we look for. */
const ignoredForWhatTheyTell = new Set([
  'push is of no branch',
  'issue_comment.created is on an issue that is no change',
  'workflow_run.completed is for no change from outside',
  'workflow_run.requested is for no change from outside',
]);

const expectMeaning = ({ name, action, payload }: Example): void => {
  const reading = readWebhookEvent(name, payload);
  const isIgnored = ignoredWhole.includes(name) || (ignoredOnPurpose[name]?.includes(action ?? '') ?? false);
  if (isIgnored) expect(reading).toMatchObject({ kind: 'ignored', why: 'is nothing that we act on' });
  else if (reading.kind === 'ignored')
    expect(ignoredForWhatTheyTell).toContain(`${reading.name} ${reading.why}`);
  else expect(reading).toMatchObject({ kind: 'event' });
};

const titled = (examplesOfOne: readonly Example[]) =>
  examplesOfOne.map((one, index) => [`${one.name}.${one.action ?? ''} ${index}`, one] as const);

describe('every published example', () => {
  it.each(titled(published))('%s', (_, one) => expectMeaning(one));

  it('of GitHub Enterprise Server', () => {
    expect(ofEnterprise.length).toBeGreaterThan(100);
    for (const one of ofEnterprise) expectMeaning(one);
  });

  it('names the host that it is of, but for a ping', () => {
    const hostsOf = (all: readonly Example[]) =>
      new Set(
        all.flatMap(({ name, payload }) => {
          const reading = readWebhookEvent(name, payload);
          const isTold = reading.kind === 'event' && reading.event.kind !== 'ping';
          return isTold ? [hostOfWebhook(payload)] : [];
        }),
      );
    expect(hostsOf(published)).toEqual(new Set(['github.com']));
    for (const host of hostsOf(ofEnterprise))
      expect(host).toMatch(/^octocoders\.github\.io$|\.ghe-test\.net$/);
    expect([{}, { sender: 1 }, { sender: { html_url: 'no' } }].map(hostOfWebhook)).toEqual([
      null,
      null,
      null,
    ]);
  });

  it('comes to these kinds of events, all together', () => {
    const kinds = new Set(
      published.flatMap(({ name, payload }) => {
        const reading = readWebhookEvent(name, payload);
        return reading.kind === 'event' ? [reading.event.kind] : [];
      }),
    );
    expect([...kinds].toSorted()).toMatchInlineSnapshot(`
      [
        "access-ended",
        "access-given",
        "access-resumed",
        "access-rights-changed",
        "access-suspended",
        "branch-pushed",
        "change-closed",
        "change-draft",
        "change-moved",
        "change-opened",
        "gate-action",
        "gate-rerun",
        "gates-rerun",
        "merge-group-requested",
        "ping",
        "repositories-changed",
        "repository-renamed",
        "repository-transferred",
        "repository-visibility",
        "review-dismissed",
        "review-submitted",
        "rights-changed",
      ]
    `);
  });
});

/** The event alone: what is the same in all of them is looked at once. */
const eventOf = (name: string, payload: unknown): unknown => {
  const reading = readWebhookEvent(name, payload);
  return reading.kind === 'event' ? reading.event : reading;
};

describe('what happens to a change', () => {
  it('says which commit is to join which branch, and who asks', () => {
    expect(readWebhookEvent('pull_request', example('pull_request', 'opened'))).toMatchInlineSnapshot(`
      {
        "event": {
          "by": {
            "id": 21031067,
            "isPerson": true,
            "login": "Codertocat",
          },
          "change": {
            "author": {
              "id": 21031067,
              "isPerson": true,
              "login": "Codertocat",
            },
            "baseBranch": "master",
            "baseSha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
            "headBranch": "changes",
            "headRepository": {
              "id": 186853002,
              "name": "Codertocat/Hello-World",
            },
            "headSha": "ec26c3e57ca3a959ca5aad62de7213c562f8c821",
            "isDraft": false,
            "isOpen": true,
            "number": 2,
            "repositoryId": 186853002,
            "title": "Update the README with new information.",
          },
          "isNew": true,
          "kind": "change-opened",
          "repository": {
            "defaultBranch": "master",
            "id": 186853002,
            "isPrivate": false,
            "name": "Codertocat/Hello-World",
          },
        },
        "installationId": null,
        "kind": "event",
        "ownerAppId": null,
      }
    `);
  });

  it('is told apart by its action', () => {
    expect(eventOf('pull_request', example('pull_request', 'synchronize'))).toMatchObject({
      kind: 'change-moved',
      change: { number: 2, isOpen: true },
    });
    expect(eventOf('pull_request', example('pull_request', 'reopened'))).toMatchObject({ isNew: false });
    expect(eventOf('pull_request', example('pull_request', 'closed'))).toMatchObject({
      kind: 'change-closed',
      isMerged: false,
      change: { isOpen: false },
    });
    expect(eventOf('pull_request', example('pull_request', 'converted_to_draft'))).toMatchObject({
      kind: 'change-draft',
      change: { isDraft: true },
    });
  });

  it('is told when its base changes, not when its text does', () => {
    const edited = { ...example('pull_request', 'opened'), action: 'edited' };
    const changes = {
      title: { from: 'a' },
      base: { ref: { from: 'staging' }, sha: { from: 'a'.repeat(40) } },
    };
    expect(eventOf('pull_request', { ...edited, changes })).toMatchObject({
      kind: 'change-base-changed',
      oldBaseBranch: 'staging',
    });
    expect(eventOf('pull_request', { ...edited, changes: { title: { from: 'a' } } })).toMatchObject({
      kind: 'ignored',
      name: 'pull_request.edited',
    });
  });

  it('is told of a fork that is gone, by an account that is gone', () => {
    const opened = example('pull_request', 'opened');
    const pull = opened['pull_request'] as Record<string, Record<string, unknown>>;
    const gone = { ...opened, pull_request: { ...pull, user: null, head: { ...pull['head'], repo: null } } };
    expect(eventOf('pull_request', gone)).toMatchObject({ change: { author: null, headRepository: null } });
  });
});

describe('a comment', () => {
  const comment = (more: Record<string, unknown> = {}): Record<string, unknown> => {
    const created = example('issue_comment', 'created');
    return {
      ...created,
      issue: { ...(created['issue'] as object), pull_request: { url: 'x' } },
      comment: { ...(created['comment'] as object), body: '@eka-ci merge', ...more },
    };
  };

  it('is one where it is new, by a person, on a change', () => {
    expect(eventOf('issue_comment', comment())).toMatchObject({
      kind: 'comment-created',
      changeNumber: 1,
      author: { login: 'Codertocat', id: 21031067, isPerson: true },
      text: '@eka-ci merge',
      createdAtMs: Date.parse('2019-05-15T15:20:21Z'),
    });
  });

  it.each([
    ['edited', { ...comment(), action: 'edited' }],
    ['deleted', { ...comment(), action: 'deleted' }],
    ['by a bot', comment({ user: { login: 'renovate[bot]', id: 1, type: 'Bot' } })],
    ['by an organisation', comment({ user: { login: 'org', id: 1, type: 'Organization' } })],
    ['by nobody', comment({ user: null })],
    ['on an issue', example('issue_comment', 'created')],
  ])('is ignored where it is %s', (_, payload) => {
    expect(eventOf('issue_comment', payload)).toMatchObject({ kind: 'ignored' });
  });
});

describe('other events', () => {
  it('tell a review, a pressed button, a merge group, a push and a run from outside', () => {
    const review = example('pull_request_review', 'submitted');
    const approved = { ...review, review: { ...(review['review'] as object), state: 'approved' } };
    expect(eventOf('pull_request_review', approved)).toMatchObject({
      kind: 'review-submitted',
      reviewId: (review['review'] as { id: number }).id,
      verdict: 'approved',
    });
    expect(readWebhookEvent('check_run', example('check_run', 'requested_action'))).toMatchObject({
      ownerAppId: 25811,
      installationId: 690857,
      event: { kind: 'gate-action', action: 'lgtm|26764', gate: { gateId: 1494503112, externalId: null } },
    });
    const group = example('merge_group', 'checks_requested');
    expect(eventOf('merge_group', group)).toMatchObject({
      kind: 'merge-group-requested',
      group: { baseBranch: 'main', changeNumber: 104 },
    });
    expect(eventOf('merge_group', { ...group, action: 'destroyed', reason: 'invalidated' })).toMatchObject({
      kind: 'merge-group-destroyed',
      reason: 'invalidated',
    });
    const push = { ...example('push'), ref: 'refs/heads/a/b', before: '0'.repeat(40) };
    expect(eventOf('push', push)).toMatchObject({ kind: 'branch-pushed', branch: 'a/b', before: null });
    expect(eventOf('push', { ...push, ref: 'refs/heads/gh-readonly-queue/main/pr-1-a' })).toMatchObject({
      kind: 'ignored',
    });
  });

  it('tell a run from outside that is held from one that goes on', () => {
    const requested = example('workflow_run', 'requested');
    const run = {
      ...(requested['workflow_run'] as object),
      event: 'pull_request',
      head_repository: { id: 5, full_name: 'fork/octo-repo' },
    };
    const goesOn = { ...requested, workflow_run: run };
    expect(eventOf('workflow_run', goesOn)).toMatchObject({ kind: 'outside-run-goes-on', runId: 289782451 });
    const held = { ...goesOn, action: 'completed', workflow_run: { ...run, conclusion: 'action_required' } };
    expect(eventOf('workflow_run', held)).toMatchObject({ kind: 'outside-run-held', runId: 289782451 });
    const over = { ...held, workflow_run: { ...run, conclusion: 'success' } };
    expect(eventOf('workflow_run', over)).toMatchObject({ kind: 'ignored', why: 'is over' });
  });

  it('tell what a repository was called', () => {
    expect(eventOf('repository', example('repository', 'renamed'))).toMatchObject({
      kind: 'repository-renamed',
      oldName: 'Octocoders/Hello-World',
    });
    expect(eventOf('repository', example('repository', 'transferred'))).toMatchObject({
      kind: 'repository-transferred',
      repository: { name: 'Octocoders/Hello-World' },
      oldName: 'octocat/Hello-World',
    });
  });
});

/** Puts something else at one place of a payload. */
const vandalise = (value: unknown, path: readonly number[], other: unknown): unknown => {
  const [at, ...rest] = path;
  if (at === undefined || typeof value !== 'object' || value === null) return other;
  const keys = Object.keys(value);
  const key = keys[at % Math.max(1, keys.length)];
  if (key === undefined) return other;
  const changed = vandalise((value as Record<string, unknown>)[key], rest, other);
  return Array.isArray(value)
    ? value.map((one: unknown, index) => (String(index) === key ? changed : one))
    : { ...value, [key]: changed };
};

it('throws at nothing, shows no value in a refusal, and makes no event of what has not its form', () => {
  const known = published.filter(({ name, payload }) => readWebhookEvent(name, payload).kind === 'event');
  const other = fc.oneof(
    fc.constantFrom(undefined, null, '', -1, 2 ** 53, 'canary', '../..', []),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(fc.nat(), fc.array(fc.nat(100), { maxLength: 4 }), other, (which, path, put) => {
      const one = known[which % known.length];
      const reading = readWebhookEvent(one?.name ?? '', vandalise(one?.payload, path, put));
      if (reading.kind === 'refused') {
        expect(reading.reason).toBe('shape');
        expect(reading.message).not.toContain('canary');
      }
      if (reading.kind === 'event' && 'repository' in reading.event) {
        expect(reading.event.repository.name).toMatch(/^[\w.-]+\/[\w.-]+$/);
      }
    }),
    { numRuns: 3000 },
  );
});

it.each(['../x', 'x/..', './x', 'a/b/c', 'a b/c', 'a/', '/b', 'a/b\n'])(
  'refuses a repository called %j',
  (name) => {
    const push = example('push');
    const named = { ...push, repository: { ...(push['repository'] as object), full_name: name } };
    expect(readWebhookEvent('push', { ...named, ref: 'refs/heads/main' })).toMatchObject({ reason: 'shape' });
  },
);

describe('a webhook about rights', () => {
  const meaning = (name: string, action?: string): unknown => {
    const reading = readWebhookEvent(name, example(name, action));
    return reading.kind === 'event' ? reading.event : reading;
  };
  const inRepository = { account: 'Codertocat', place: { id: 186853002, name: 'Codertocat/Hello-World' } };
  const inTeam = { account: 'Octocoders', userId: null };

  it('says whose they are, and where', () => {
    const kind = 'rights-changed';
    expect(meaning('member', 'added')).toEqual({ kind, ...inRepository, userId: 39652351 });
    expect(meaning('membership', 'removed')).toEqual({ kind, ...inTeam, place: null, userId: 21031067 });
    expect(meaning('organization', 'member_added')).toEqual({
      kind,
      ...inTeam,
      place: null,
      userId: 39652351,
    });
    expect(meaning('team', 'deleted')).toEqual({ kind, ...inTeam, place: null });
    expect(meaning('team_add')).toMatchObject({ kind, ...inTeam, place: { name: 'Octocoders/Hello-World' } });
    expect(meaning('team', 'removed_from_repository')).toMatchObject({
      ...{ kind, ...inTeam },
      place: { name: 'Octocoders/Hello-World' },
    });
    expect(readWebhookEvent('organization', { action: 'member_removed' })).toMatchObject({
      kind: 'ignored',
      why: 'does not say of what',
    });
  });
});
