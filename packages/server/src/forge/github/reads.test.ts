// What is read of repositories, changes and deliveries: whole, bounded, and nobody mistaken for somebody else.
import type { CommitSha } from '@eka-ci/core/ids';
import { describe, expect, it } from 'vitest';
import { compareFiles, findChange, listChangedFiles, listOpenChanges } from './changes.ts';
import { listFailedDeliveries, pickFailed, pickRetellable, redeliver } from './hook-deliveries.ts';
import {
  findBranchTip,
  findCommitterDate,
  findRepository,
  findRight,
  listBranchTips,
  listRepositories,
} from './repositories.ts';
import { type Scripted, type Seen, startScene } from './testing/scripted-github.ts';

const sha = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const missing: Scripted = { status: 404, json: { message: 'Not Found' } };
const repositoryJson = { id: 7, full_name: 'o/r', private: false, default_branch: 'main', more: {} };

/** Answers by path; a list of pages is linked as GitHub does. */
const startReads = async (paths: Readonly<Record<string, Scripted | readonly unknown[]>>) => {
  const scene = await startScene(({ path }: Seen) => {
    const [name = '', query = ''] = path.split('?');
    const answer = paths[name];
    if (!Array.isArray(answer)) return (answer as Scripted | undefined) ?? missing;
    const pages = answer as readonly unknown[];
    const at = Number(new URLSearchParams(query).get('page') ?? 1);
    const next = `<${scene.github.url}${name}?page=${at + 1}>; rel="next"`;
    return { json: pages[at - 1], headers: at < pages.length ? { link: next } : {} };
  });
  return scene;
};

describe('a repository', () => {
  it('is found by its number or its name, with what may be merged how', async () => {
    const { client } = await startReads({
      '/repositories/7': { json: { ...repositoryJson, allow_squash_merge: true, allow_rebase_merge: false } },
      '/repos/o/r': { json: { ...repositoryJson, archived: true } },
    });
    const facts = { id: 7, name: 'o/r', isPrivate: false, defaultBranch: 'main' };
    expect(await findRepository(client, 7)).toEqual({
      ...facts,
      isArchived: false,
      mergeMethods: ['squash'],
    });
    expect(await findRepository(client, 'o/r')).toEqual({ ...facts, isArchived: true, mergeMethods: null });
    expect(await findRepository(client, 8)).toBeNull();
  });

  it('has branches, commits and lists, page by page', async () => {
    const branch = (name: string, digit: string) => ({ name, commit: { sha: sha(digit) } });
    const { client, github } = await startReads({
      '/repos/o/r/branches': [[branch('main', 'a'), branch('a/b', 'b')], [branch('c', 'c')]],
      '/repos/o/r/git/ref/heads/a/b%3F': { json: { ref: 'refs/heads/a/b?', object: { sha: sha('b') } } },
      '/repos/o/r/commits': {
        json: [{ sha: sha('a'), commit: { committer: { date: '2026-01-01T00:00:00Z' } } }],
      },
      '/installation/repositories': [{ repositories: [repositoryJson] }],
    });
    expect(await listBranchTips(client, 'o/r')).toEqual({
      isComplete: true,
      items: [
        { name: 'main', sha: sha('a') },
        { name: 'a/b', sha: sha('b') },
        { name: 'c', sha: sha('c') },
      ],
    });
    expect(await findBranchTip(client, { repository: 'o/r', branch: 'a/b?' })).toBe(sha('b'));
    expect(await findBranchTip(client, { repository: 'o/r', branch: 'gone' })).toBeNull();
    await expect(findBranchTip(client, { repository: 'o/r', branch: '../../x' })).rejects.toMatchObject({
      code: 'GITHUB_NAME_INVALID',
    });
    expect(await findCommitterDate(client, { repository: 'o/r', sha: sha('a') })).toBe(
      Date.parse('2026-01-01'),
    );
    expect(await findCommitterDate(client, { repository: 'o/r', sha: sha('b') })).toBeNull();
    expect((await listRepositories(client)).items.map(({ name }) => name)).toEqual(['o/r']);
    expect(github.seen[0]?.path).toBe('/repos/o/r/branches?per_page=100');
  });

  it.each<[string, Scripted, string]>([
    ['write', { json: { permission: 'write', user: { id: 5 } } }, 'write'],
    ['admin', { json: { permission: 'admin', user: { id: 5 } } }, 'admin'],
    ['none', { json: { permission: 'none', user: { id: 5 } } }, 'none'],
    ["none where the login is another's now", { json: { permission: 'admin', user: { id: 6 } } }, 'none'],
    ['none where nobody is named', { json: { permission: 'admin', user: null } }, 'none'],
    ['none where the word is unknown', { json: { permission: 'constructor', user: { id: 5 } } }, 'none'],
    ['none where GitHub knows nobody', missing, 'none'],
  ])('lets somebody %s', async (_, answer, right) => {
    const { client } = await startReads({ '/repos/o/r/collaborators/some%5Bbot%5D/permission': answer });
    expect(await findRight(client, { repository: 'o/r', user: { id: 5, login: 'some[bot]' } })).toBe(right);
  });
});

const pull = (number: number, more: Record<string, unknown> = {}) => ({
  number,
  title: 't',
  state: 'open',
  user: { id: 1, login: 'l', type: 'User' },
  draft: false,
  head: { ref: 'topic', sha: sha('b'), repo: null },
  base: { ref: 'main', sha: sha('a') },
  ...more,
});

describe('a change', () => {
  it('is listed with all that are open, and found alone', async () => {
    const details = { merged: false, merge_commit_sha: sha('f'), changed_files: 2 };
    const { client } = await startReads({
      '/repos/o/r/pulls': [[pull(3), pull(2)], [pull(1)]],
      '/repos/o/r/pulls/3': { json: pull(3, details) },
      '/repos/o/r/pulls/2': { json: pull(2, { ...details, state: 'closed', merged: true }) },
    });
    const open = await listOpenChanges(client, 'o/r');
    expect(open.items.map(({ number }) => number)).toEqual([3, 2, 1]);
    expect(await findChange(client, { repository: 'o/r', number: 3 })).toMatchObject({
      change: { number: 3, headSha: sha('b'), headRepository: null },
      isMerged: false,
      mergedAs: null,
    });
    expect(await findChange(client, { repository: 'o/r', number: 2 })).toMatchObject({ mergedAs: sha('f') });
    expect(await findChange(client, { repository: 'o/r', number: 9 })).toBeNull();
  });

  it('touches the old path of what it renames, and is known to touch more than is told', async () => {
    const files = [{ filename: 'b' }, { filename: 'new', previous_filename: 'lib/shared' }];
    const details = { merged: false, changed_files: 3 };
    const { client } = await startReads({
      '/repos/o/r/pulls/3': { json: pull(3, details) },
      '/repos/o/r/pulls/3/files': [files, [{ filename: 'a' }]],
      '/repos/o/r/pulls/4': { json: pull(4, { ...details, changed_files: 4000 }) },
      '/repos/o/r/pulls/4/files': [files],
    });
    expect(await listChangedFiles(client, { repository: 'o/r', number: 3 })).toEqual({
      paths: ['a', 'b', 'lib/shared', 'new'],
      isComplete: true,
      headSha: sha('b'),
    });
    expect(await listChangedFiles(client, { repository: 'o/r', number: 4 })).toMatchObject({
      isComplete: false,
    });
    expect(await listChangedFiles(client, { repository: 'o/r', number: 9 })).toBeNull();
  });

  it('that moves while its files are read is not known whole', async () => {
    const { client } = await startScene(({ path }, before) => {
      if (path.includes('/files')) return { json: [{ filename: 'a' }] };
      const head = { ref: 'topic', sha: sha(before === 0 ? 'b' : 'c'), repo: null };
      return { json: pull(3, { merged: false, changed_files: 1, head }) };
    });
    expect(await listChangedFiles(client, { repository: 'o/r', number: 3 })).toEqual({
      paths: ['a'],
      isComplete: false,
      headSha: sha('b'),
    });
  });

  it('is compared with its base, as far as GitHub tells', async () => {
    const many = Array.from({ length: 300 }, (_, index) => ({ filename: `f${index}` }));
    const path = `/repos/o/r/compare/${sha('a')}...${sha('b')}`;
    const ask = async (files: unknown) => {
      const { client } = await startReads({
        [path]: { json: { files, merge_base_commit: { sha: sha('c') } } },
      });
      return await compareFiles(client, { repository: 'o/r', base: sha('a'), head: sha('b') });
    };
    expect(await ask([{ filename: 'a' }])).toEqual({ paths: ['a'], isComplete: true, mergeBase: sha('c') });
    expect(await ask(many)).toMatchObject({ isComplete: false });
  });
});

describe('deliveries of webhooks', () => {
  const delivery = (id: string, guid: string, more: { status?: number; at?: string } = {}) =>
    `{"id":${id},"guid":"${guid}","delivered_at":"${more.at ?? '2026-01-02T00:00:00Z'}","status_code":${more.status ?? 500},"event":"push"}`;
  const sinceMs = Date.parse('2026-01-01T00:00:00Z');

  it('that failed are those that no try brought, by ids with all their digits', async () => {
    const first = [
      delivery('9007199254740993', 'lost'),
      delivery('5', 'retried', { status: 202 }),
      delivery('4', 'nobody', { status: 0, at: '2026-01-01T12:00:00Z' }),
    ];
    const second = [delivery('3', 'retried'), delivery('2', 'old', { at: '2025-12-31T00:00:00Z' })];
    const { client, github } = await startScene(({ path, method }, before) => {
      if (method === 'POST') return { status: 202, json: {} };
      const next = `<${github.url}${path}&cursor=v1_${before}>; rel="next"`;
      return { text: `[${(before === 0 ? first : second).join()}]`, headers: { link: next } };
    });
    const failed = await listFailedDeliveries(client, sinceMs);
    expect(failed).toEqual({
      isComplete: true,
      items: [
        { id: '4', guid: 'nobody', eventName: 'push', triedAtMs: sinceMs + 43_200_000 },
        { id: '9007199254740993', guid: 'lost', eventName: 'push', triedAtMs: sinceMs + 86_400_000 },
      ],
    });
    await redeliver(client, { id: '9007199254740993' });
    // Two pages, for the second tells of what is older than anybody asked about.
    expect(github.seen.map(({ path }) => path)).toEqual([
      '/app/hook/deliveries?per_page=100',
      '/app/hook/deliveries?per_page=100&cursor=v1_0',
      '/app/hook/deliveries/9007199254740993/attempts',
    ]);
  });

  it('are taken by their last try', () => {
    const tries = [3, 1, 2].map((hour) => ({
      id: String(hour),
      guid: 'g',
      delivered_at: sinceMs + hour,
      status_code: 502,
      event: 'push',
    }));
    expect(pickFailed(tries, sinceMs).map(({ id }) => id)).toEqual(['3']);
    expect(pickFailed([{ ...tries[0]!, status_code: 200 }, ...tries.slice(1)], sinceMs)).toEqual([]);
  });

  it('are told once more where nobody asked yet and a look would not find them', () => {
    const one = (
      id: number,
      guid: string,
      more: { status?: number; event?: string; action?: string; again?: true } = {},
    ) => ({
      ...{ id: String(id), guid, delivered_at: sinceMs + id, status_code: more.status ?? 502 },
      ...{ event: more.event ?? 'issue_comment', action: more.action ?? 'created' },
      ...(more.again && { redelivery: true }),
    });
    const arrived = one(9, 'arrived', { status: 202 });
    const deliveries = [
      ...[one(1, 'never'), one(2, 'found by looking', { event: 'pull_request', action: 'opened' })],
      ...[one(3, 'malformed', { status: 400 }), one(3, 'edited', { action: 'edited' })],
      one(3, 'of no use', { event: 'check_run' }),
      ...[
        one(4, 'asked for'),
        one(5, 'asked for', { again: true }),
        one(6, 'unproven once', { status: 401 }),
      ],
    ];
    const wanted = pickRetellable([arrived, ...deliveries], sinceMs);
    expect(wanted.deliveries.map(({ guid }) => guid)).toEqual(['never', 'unproven once']);
    // Our secret is not the app's: all of it would be refused once more.
    expect(pickRetellable(deliveries, sinceMs)).toEqual({ deliveries: [], isUnproven: true });
    expect(pickRetellable([], sinceMs)).toEqual({ deliveries: [], isUnproven: false });
  });
});
