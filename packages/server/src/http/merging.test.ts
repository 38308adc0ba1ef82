// A change that is merged when it is green and approved, and who maintains what: by HTTP, over a real database, rights and
// desk, and a forge in memory.
import { MergeEligibility } from '@eka-ci/protocol/auto-merge';
import { ErrorBody } from '@eka-ci/protocol/error';
import { MaintainerRequest } from '@eka-ci/protocol/maintainer';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ForgeEvent } from '../forge/forge-event.ts';
import { createFakeSignIn } from '../forge/forge-sign-in.fake.ts';
import { createFakeHostedForge, FakeForgeFault, fakeSha } from '../forge/hosted-forge.fake.ts';
import { newOffer } from '../pipeline/hosted/testing/intake-world.ts';
import { createMergeDesk, type RunningMergeDesk } from '../pipeline/merging/merge-desk.ts';
import { noteReview, packagesUnapproved, type ReviewEvent } from '../pipeline/merging/reviews.ts';
import { writePackages } from '../pipeline/people/change-packages.ts';
import { type ChangeRights, createChangeRights } from '../pipeline/people/change-rights.ts';
import type { AuditedAction } from './operator-actions.ts';
import { type Browser, createBrowser } from './testing/browser.ts';
import { newChange, type Served, serve } from './testing/served.ts';

const users = {
  writer: { id: 1, login: 'writer' },
  keeper: { id: 2, login: 'keeper' },
  stranger: { id: 3, login: 'stranger' },
  admin: { id: 4, login: 'admin' },
} as const;
const file = 'pkgs/hello/package.nix';

const signIn = createFakeSignIn();
const forge = createFakeHostedForge('github.com');
let served: Served;
let rights: ChangeRights;
let desk: RunningMergeDesk;
let told: AuditedAction[] = [];
/** How often the desk came to rest. */
let rests = 0;
/** Reviews wake nobody. */
let isHeld = false;
let number = 0;
let reviewId = 0;

beforeAll(async () => {
  served = await serve({
    forge: signIn,
    admins: ['github:admin'],
    findRepository: ({ owner, name }) => `github.com/${owner}/${name}`,
    rights: {
      mayWrite: (...asked) => rights.mayWrite(...asked),
      maintainsAll: (...asked) => rights.maintainsAll(...asked),
      packagesWithout: (...asked) => rights.packagesWithout(...asked),
    },
    merges: {
      request: (...asked) => desk.request(...asked),
      withdraw: (...asked) => desk.withdraw(...asked),
    },
    actions: {
      stopJudging: () => {},
      wake: () => {},
      orderBuild: () => Promise.resolve({ kind: 'not-in-store' }),
      findOrder: () => null,
      audit: (action) => {
        if (action.action !== 'sign-in') told.push(action);
      },
    },
  });
  const { database } = served;
  const clock = () => 61_000;
  rights = createChangeRights({ forges: [forge], database, clock });
  desk = createMergeDesk({
    ...{ database, forges: [forge], defaultMethod: 'squash', clock, random: () => 0.5 },
    isApproved: async (change) => (await packagesUnapproved({ database, rights }, change))?.length === 0,
    later: () => {
      rests += 1;
      return () => {};
    },
    onEvent: () => {},
  });
  desk.start();
  forge.addRepository('octo/pkgs');
  forge.rights.set('octo/pkgs writer', 'write');
});
afterAll(async () => {
  await desk.stop();
  await served.close();
});
beforeEach(() => {
  isHeld = false;
  told = [];
  forge.fault = null;
  forge.mergeRulesOf = () => ({ methods: ['merge', 'squash', 'rebase'], hasQueue: false });
});

const signedIn = async (name: keyof typeof users): Promise<Browser> => {
  const browser = createBrowser(served.app);
  expect((await browser.signIn(signIn, users[name])).statusCode).toBe(303);
  return browser;
};
const codeIn = (answer: LightMyRequestResponse): readonly [number, string] => [
  answer.statusCode,
  answer.statusCode < 300 ? 'OK' : ErrorBody.parse(answer.json()).error.code,
];
const readState = (answer: LightMyRequestResponse): MergeEligibility => {
  expect(codeIn(answer)).toEqual([200, 'OK']);
  return MergeEligibility.parse(answer.json());
};

/** Of `hello`, which keeper maintains; green. */
const offer = async (): Promise<string> => {
  number += 1;
  const headSha = fakeSha(number);
  forge.repositories.get('octo/pkgs')?.changes.set(number, newOffer(number));
  forge.diffs.set(`octo/pkgs#${number}`, { paths: [file], isComplete: true });
  const id = `merging-${number}`;
  await served.database.changes.save(
    newChange(id, {
      ...{ kind: 'offered', repository: 'github.com/octo/pkgs', number, branch: `pull/${number}` },
      ...{ baseBranch: 'main', head: headSha, conclusion: 'success' },
    }),
  );
  const hello = { attr: 'hello', file, maintainerIds: [users.keeper.id], isCause: true };
  const job = { job: 'pkgs', changed: [hello], isComplete: true, foreignFiles: [], maintained: [] };
  const packages = writePackages({ schemaVersion: 1, isWhole: true, jobs: [job] });
  await served.database.maintainers.keepPackages(id, packages);
  return `/v1/prs/github/octo/pkgs/${number}`;
};

type Happening = Extract<ForgeEvent, { repository: unknown }>['repository'];
const review = (verdict: 'approved' | 'changes-requested' | 'commented' | 'dismissed', head = number) => {
  const repository = forge.repositories.get('octo/pkgs')?.repository as Happening;
  const common = { repository, by: null, reviewer: { ...users.keeper, isPerson: true } };
  const change = { number, headSha: fakeSha(number), baseBranch: 'main' };
  const event: ReviewEvent =
    verdict === 'dismissed'
      ? { kind: 'review-dismissed', ...common, change, reviewId }
      : {
          kind: 'review-submitted',
          ...common,
          change,
          reviewId: ++reviewId,
          verdict,
          reviewedSha: fakeSha(head),
        };
  return noteReview(
    { database: served.database, clock: () => 61_000, wake: () => (isHeld ? undefined : desk.wake()) },
    event,
    forge,
  );
};
/** Has the desk go through everything. */
const settle = async (): Promise<void> => {
  const before = rests;
  desk.wake();
  await vi.waitFor(() => expect(rests).toBeGreaterThan(before), { interval: 5, timeout: 10_000 });
};
const merges = () => forge.asked.filter((what) => what.startsWith('merge '));

describe('auto-merge', () => {
  it('merges what is green when a maintainer of each changed package has approved this head', async () => {
    const path = await offer();
    const browser = await signedIn('writer');
    expect(readState(await browser.get(`${path}/merge-eligibility`))).toEqual({
      ...{ headSha: fakeSha(number), isGreen: true, unapproved: ['hello'], asked: null },
    });
    const asked = readState(await browser.send('POST', `${path}/auto-merge`, { body: { method: 'rebase' } }));
    expect(asked.asked).toMatchObject({
      state: 'pending',
      by: 'writer',
      method: 'rebase',
      needsReviews: true,
    });
    expect(told).toMatchObject([{ who: 'writer (github.com 1)', action: 'auto-merge', effective: true }]);
    await settle();
    // Between two reviews the desk could merge by the first of them, and would be right.
    isHeld = true;
    await review('commented');
    await review('approved', 999);
    await review('approved');
    await review('changes-requested');
    expect(readState(await browser.get(`${path}/merge-eligibility`)).unapproved).toEqual(['hello']);
    await review('approved');
    await review('dismissed');
    expect(readState(await browser.get(`${path}/merge-eligibility`)).unapproved).toEqual(['hello']);
    isHeld = false;
    await settle();
    expect(merges()).toEqual([]);
  });

  it('is carried out by the review that was missing', async () => {
    const path = await offer();
    const browser = await signedIn('keeper');
    readState(await browser.send('POST', `${path}/auto-merge`, { body: {} }));
    await review('approved');
    await vi.waitFor(() => expect(merges()).toEqual([`merge octo/pkgs#${number} ${fakeSha(number)} squash`]));
    await vi.waitFor(async () => {
      expect(readState(await browser.get(`${path}/merge-eligibility`))).toMatchObject({
        ...{ unapproved: [], asked: null },
      });
    });
    // Nobody asked in a comment: nothing is said.
    expect([forge.reactions, forge.comments.size]).toEqual([[], 0]);
  });

  it('is for who may write, or maintains all of it, and nobody else', async () => {
    const path = await offer();
    const post = (browser: Browser) => browser.send('POST', `${path}/auto-merge`, { body: {} });
    const remove = (browser: Browser) => browser.send('DELETE', `${path}/auto-merge`);
    const [keeper, stranger] = [await signedIn('keeper'), await signedIn('stranger')];
    const nobody = createBrowser(served.app);
    expect(codeIn(await post(nobody))).toEqual([401, 'SIGN_IN_REQUIRED']);
    expect(codeIn(await post(stranger))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    expect(codeIn(await post(keeper))).toEqual([200, 'OK']);
    expect(codeIn(await remove(stranger))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
    const admin = await signedIn('admin');
    expect(readState(await remove(admin)).asked).toBeNull();
    expect(readState(await remove(admin)).asked).toBeNull();
    expect(told.map(({ action, effective }) => [action, effective])).toEqual([
      ['auto-merge', true],
      ['withdraw-merge', true],
      ['withdraw-merge', false],
    ]);
    forge.diffs.set(`octo/pkgs#${number}`, { paths: [file, 'lib/shared.nix'], isComplete: true });
    expect(codeIn(await post(keeper))).toEqual([403, 'WRITE_ACCESS_REQUIRED']);
  });

  it('says why it cannot be', async () => {
    const path = await offer();
    const browser = await signedIn('writer');
    const post = async (body: object) => codeIn(await browser.send('POST', `${path}/auto-merge`, { body }));
    expect(await post({ headSha: fakeSha(4711) })).toEqual([409, 'CHANGE_NOT_READY']);
    expect(await post({ method: 'squashh' })).toEqual([400, 'REQUEST_INVALID']);
    forge.mergeRulesOf = () => ({ methods: ['merge'], hasQueue: false });
    expect(await post({})).toEqual([409, 'MERGE_METHOD_FORBIDDEN']);
    expect(await post({ method: 'merge' })).toEqual([200, 'OK']);
    forge.fault = new FakeForgeFault(true);
    expect(await post({})).toEqual([502, 'FORGE_UNAVAILABLE']);
    forge.fault = null;
    forge.repositories.get('octo/pkgs')?.changes.set(number, newOffer(number, { isOpen: false }));
    expect(await post({})).toEqual([409, 'CHANGE_NOT_READY']);
    await served.database.changes.save(
      newChange('branch-of-merging', { number: 900, repository: 'github.com/octo/pkgs' }),
    );
    const admin = await signedIn('admin');
    expect(codeIn(await admin.send('POST', '/v1/prs/github/octo/pkgs/900/auto-merge', { body: {} }))).toEqual(
      [...[409, 'CHANGE_NOT_READY']],
    );
  });
});

describe('the table of maintainers', () => {
  const attr = 'python3.pkgs."a.b"';
  const url = `/v1/admin/attr-paths/${encodeURIComponent(attr)}/maintainers`;

  it('takes who asks, when an admin grants it', async () => {
    const [stranger, admin] = [await signedIn('stranger'), await signedIn('admin')];
    const own = '/v1/users/me/maintainer-requests';
    const asked = MaintainerRequest.parse((await stranger.send('POST', own, { body: { attr } })).json());
    expect(asked).toMatchObject({ attr, login: 'stranger', state: 'pending' });
    expect((await stranger.send('POST', own, { body: { attr } })).json()).toEqual(asked);
    const decide = `/v1/admin/maintainer-requests/${asked.id}`;
    expect(codeIn(await stranger.send('POST', `${decide}/grant`))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect(codeIn(await stranger.get('/v1/admin/maintainer-requests'))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect((await admin.get('/v1/admin/maintainer-requests?state=pending')).json()).toEqual({
      requests: [asked],
    });
    expect((await stranger.get('/v1/users/me/maintained-paths')).json()).toEqual({ attrs: [] });
    expect((await admin.send('POST', `${decide}/grant`)).json()).toMatchObject({
      state: 'granted',
      decidedBy: 'admin',
    });
    expect((await admin.send('POST', `${decide}/refuse`)).json()).toMatchObject({ state: 'granted' });
    expect((await stranger.get('/v1/users/me/maintained-paths')).json()).toEqual({ attrs: [attr] });
    expect((await stranger.get(own)).json()).toMatchObject({
      requests: [{ id: asked.id, state: 'granted' }],
    });
    expect(codeIn(await admin.send('POST', '/v1/admin/maintainer-requests/4711/grant'))).toEqual([
      ...[404, 'MAINTAINER_REQUEST_NOT_FOUND'],
    ]);
    expect(told.map(({ action, effective }) => [action, effective])).toEqual([
      ['grant-maintainer', true],
      ['refuse-maintainer', false],
    ]);
  });

  it('is written by admins, of people who have signed in, and counts for rights', async () => {
    const [admin, stranger] = [await signedIn('admin'), await signedIn('stranger')];
    const path = await offer();
    const hello = '/v1/admin/attr-paths/hello/maintainers';
    const body = { forge: 'github', login: 'STRANGER' };
    const post = (browser: Browser, more: object = {}) =>
      browser.send('POST', hello, { body: { ...body, ...more } });
    expect(codeIn(await post(stranger))).toEqual([403, 'OPERATOR_REQUIRED']);
    expect(codeIn(await post(admin, { login: 'unseen' }))).toEqual([404, 'USER_NOT_FOUND']);
    expect(codeIn(await post(admin, { forge: 'gitlab' }))).toEqual([404, 'USER_NOT_FOUND']);
    expect((await post(admin)).json()).toEqual({
      maintainers: [
        {
          attr: 'hello',
          forge: 'github.com',
          id: 3,
          login: 'stranger',
          grantedBy: 'admin',
          grantedAtMs: 61_000,
        },
      ],
    });
    const autoMerge = await stranger.send('POST', `${path}/auto-merge`, { body: {} });
    expect(readState(autoMerge).asked).toMatchObject({ by: 'stranger' });
    expect(codeIn(await stranger.send('DELETE', `${hello}/github/stranger`))).toEqual([
      403,
      'OPERATOR_REQUIRED',
    ]);
    expect((await admin.send('DELETE', `${hello}/github/Stranger`)).json()).toEqual({ maintainers: [] });
    expect(codeIn(await admin.send('DELETE', `${hello}/github/stranger`))).toEqual([
      404,
      'MAINTAINER_NOT_FOUND',
    ]);
    expect(codeIn(await stranger.send('POST', `${path}/auto-merge`, { body: {} }))).toEqual([
      403,
      'WRITE_ACCESS_REQUIRED',
    ]);
    expect((await admin.get(url)).json()).toMatchObject({ maintainers: [{ attr, login: 'stranger' }] });
  });
});
