// Who may what: as the forge says it, and as maintainers by the base and by the server's own table.
import type { JobPackages } from '@eka-ci/core/changed-packages';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import {
  createFakeHostedForge,
  FakeForgeFault,
  type FakeHostedForge,
  fakeSha,
} from '../../forge/hosted-forge.fake.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import { newOffer } from '../hosted/testing/intake-world.ts';
import { writePackages } from './change-packages.ts';
import { type ChangeRights, createChangeRights } from './change-rights.ts';

const signal = AbortSignal.timeout(60_000);
const ann = { id: 7, login: 'ann' };

let database: Database;
let forge: FakeHostedForge;
let rights: ChangeRights;
let nowMs: number;
let hosts = 0;

beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());
beforeEach(() => {
  forge = createFakeHostedForge(`rights-${++hosts}.example.org`);
  nowMs = 1_000_000;
  rights = createChangeRights({ forges: [forge], database, clock: () => nowMs });
});

describe('the right to write', () => {
  const place = () => ({ host: forge.host, repository: 'owner/set' });
  const forgotten = (userId: number | null = null) => ({ ...place(), account: 'owner', userId });
  const mayWrite = (user = ann, aborting = signal) => rights.mayWrite(place(), user, aborting);

  it('is what the forge says, and believed for less than a minute', async () => {
    forge.rights.set('owner/set ann', 'write').set('owner/set eve', 'read');
    expect(await mayWrite()).toBe(true);
    expect(await mayWrite({ id: 8, login: 'eve' })).toBe(false);
    forge.rights.delete('owner/set ann');
    nowMs += 50_000;
    expect(await mayWrite()).toBe(true);
    nowMs += 10_000;
    expect(await mayWrite()).toBe(false);
    forge.rights.set('owner/set ann', 'admin');
    expect(await mayWrite()).toBe(false);
    rights.forget(forgotten(8));
    expect(await mayWrite()).toBe(false);
    rights.forget(forgotten(7));
    expect(await mayWrite()).toBe(true);
    // Set back, a clock makes nothing good for longer.
    forge.rights.clear();
    nowMs -= 3_600_000;
    expect(await mayWrite()).toBe(false);
    expect(await rights.mayWrite({ ...place(), host: 'elsewhere.org' }, ann, signal)).toBe(false);
  });

  it('is asked once for all who wait, and of whoever asks alone when others gave up', async () => {
    const answered = Promise.withResolvers<void>();
    forge.onAsked = () => answered.promise;
    forge.rights.set('owner/set ann', 'write');
    const first = new AbortController();
    const gone = mayWrite(ann, first.signal);
    const others = [mayWrite(), mayWrite()];
    first.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    answered.resolve();
    expect(await Promise.all(others)).toEqual([true, true]);
    expect(forge.asked).toHaveLength(1);
    await expect(mayWrite(ann, AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
  });

  it('is asked again after a fault, and after everybody gave up', async () => {
    forge.fault = new FakeForgeFault(true);
    await expect(mayWrite()).rejects.toMatchObject({ code: 'FAKE_FAULT' });
    forge.fault = null;
    forge.rights.set('owner/set ann', 'write');
    expect(await mayWrite()).toBe(true);
    rights.forget(forgotten());
    const never = Promise.withResolvers<void>();
    forge.onAsked = () => never.promise;
    const alone = new AbortController();
    const gone = mayWrite(ann, alone.signal);
    alone.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    forge.onAsked = () => {};
    expect(await mayWrite()).toBe(true);
  });
});

describe('maintainership', () => {
  const file = 'pkgs/hello/package.nix';
  const hello = { attr: 'hello', file, maintainerIds: [7, 9], isCause: true };
  const curl = { attr: 'curl', file: 'pkgs/curl/package.nix', maintainerIds: [9], isCause: true };
  const jobOf = (more: Partial<JobPackages> = {}): JobPackages => ({
    ...{ job: 'pkgs', changed: [hello], isComplete: true, foreignFiles: [] },
    maintained: [
      ['hello', [7, 9]],
      ['user', [11]],
    ],
    ...more,
  });
  let change: StoredChange;
  const keep = (jobs: readonly JobPackages[], isWhole = true) =>
    database.maintainers.keepPackages(change.id, writePackages({ schemaVersion: 1, isWhole, jobs }));
  const touch = (paths: readonly string[], isComplete = true): void =>
    void forge.diffs.set('owner/set#1', { paths, isComplete });
  const maintainership = (id = 7) => rights.maintainership(change, { id, login: 'somebody' }, signal);

  it('is nothing that packages say of people of another GitHub', async () => {
    await keep([jobOf()]);
    expect(await maintainership()).toBe('all');
    const enterprise = { ...forge, knowsGithubIds: false };
    rights = createChangeRights({ forges: [enterprise], database, clock: () => nowMs });
    expect(await maintainership()).toBe('not-all');
    expect(await rights.maintains(change, { id: 7, login: 'somebody' }, ['hello'], signal)).toBe(false);
    expect(await rights.packagesWithout(change, [7])).toEqual(['hello']);
  });

  beforeEach(() => {
    const { changes } = forge.addRepository('owner/set');
    changes.set(1, newOffer(1));
    const repository = hostedName(forge.host, 'owner/set');
    change = {
      ...{ id: repository, kind: 'offered', repository, number: 1, branch: 'pull/1', baseBranch: 'main' },
      ...{ base: fakeSha(9), head: fakeSha(1), judgedTree: null, title: 't', state: 'judging' },
      ...{ createdAtMs: 1, updatedAtMs: 1, conclusion: null, fault: null, faults: 0, retryAtMs: null },
      ...{ approved: false, summaryJson: null, markdown: null, requestJson: null },
    };
    touch([file]);
  });

  it('is not known before the change is planned, nor where its files are not told', async () => {
    expect(await maintainership()).toBe('not-known');
    await keep([jobOf()]);
    expect(await maintainership()).toBe('all');
    touch([file], false);
    expect(await maintainership()).toBe('not-known');
    forge.repositories.get('owner/set')?.changes.set(1, newOffer(1, { headSha: fakeSha(2) }));
    touch([file]);
    expect(await maintainership()).toBe('not-known');
    forge.repositories.get('owner/set')?.changes.set(1, newOffer(1));
    await keep([jobOf()], false);
    expect(await maintainership()).toBe('not-known');
    expect(await rights.maintainsAll(change, ann, signal)).toBe(false);
    await database.maintainers.keepPackages(change.id, '{"schemaVersion":2}');
    expect(await maintainership()).toBe('not-known');
  });

  it('is of every package and every file', async () => {
    await keep([jobOf(), jobOf({ job: 'other', changed: [curl] })]);
    touch([file, 'pkgs/curl/package.nix']);
    expect(await maintainership(7)).toBe('not-all');
    expect(await maintainership(9)).toBe('all');
    expect(await rights.maintainsAll(change, { id: 9, login: 'x' }, signal)).toBe(true);
    touch([file, 'pkgs/curl/package.nix', '.github/workflows/ci.yml']);
    expect(await maintainership(9)).toBe('not-all');
    await keep([jobOf({ changed: [] })]);
    touch(['README.md']);
    expect(await maintainership(9)).toBe('not-all');
  });

  it('is granted by the server’s own table, on that forge alone', async () => {
    await keep([jobOf({ changed: [hello, curl] })]);
    touch([file]);
    const grant = { host: forge.host, attr: 'curl', userId: 7, login: 'ann', grantedBy: 'root', atMs: 1 };
    await database.maintainers.add({ ...grant, host: 'elsewhere.org' });
    expect(await maintainership()).toBe('not-all');
    await database.maintainers.add(grant);
    expect(await maintainership()).toBe('all');
    await database.maintainers.remove(grant);
    expect(await maintainership()).toBe('not-all');
  });

  it('of named packages is of each of them, also of those that are fallout', async () => {
    await keep([jobOf()]);
    const maintains = (id: number, ...attrs: string[]) =>
      rights.maintains(change, { id, login: 'x' }, attrs, signal);
    expect(await maintains(11, 'user')).toBe(true);
    expect(await maintains(11, 'user', 'hello')).toBe(false);
    expect(await maintains(7, 'hello')).toBe(true);
    expect(await maintains(7)).toBe(false);
    expect(await maintains(7, 'unknown')).toBe(false);
    await database.maintainers.add({
      ...{ host: forge.host, attr: 'unknown', userId: 7, login: 'ann', grantedBy: 'root', atMs: 1 },
    });
    expect(await maintains(7, 'unknown', 'hello')).toBe(true);
  });

  it('is nobody’s of what no hosted forge offers', async () => {
    await keep([jobOf()]);
    change = { ...change, kind: 'branch' };
    expect(await maintainership()).toBe('not-all');
    expect(await rights.maintains(change, ann, ['hello'], signal)).toBe(false);
    expect(await rights.packagesWithout(change, [7])).toBeNull();
  });

  it('of several people together leaves out what none of them maintains', async () => {
    expect(await rights.packagesWithout(change, [7])).toBeNull();
    await keep([jobOf({ changed: [hello, curl, { ...curl, attr: 'orphan', maintainerIds: [] }] })]);
    expect(await rights.packagesWithout(change, [])).toEqual(['curl', 'hello', 'orphan']);
    expect(await rights.packagesWithout(change, [7])).toEqual(['curl', 'orphan']);
    expect(await rights.packagesWithout(change, [7, 9])).toEqual(['orphan']);
  });
});
