// Contract of the port to hosted forges: exactly what was judged is merged, once, and by the forge's own rules.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import { type ForgeWorld, type OpenedChange, type Opening, patience } from './testing/forge-world.ts';

const nobodys = 9_999_999;

const openRepository = async (world: ForgeWorld) => {
  const { forge } = world;
  const { name: repository, mainSha } = await world.createRepository();
  const ann = await world.createPerson('ann');
  const place = (number: number) => ({ repository, number, baseBranch: 'main' });
  return {
    ...{ repository, mainSha },
    open: async (path: string, more: Partial<Opening> = {}) =>
      world.openChange({ repository, files: { [path]: '1' }, by: ann, ...more }),
    merge: async ({ number, headSha }: Omit<OpenedChange, 'repository'>, method: MergeMethod = 'merge') =>
      forge.merge(place(number), { headSha, method }, patience()),
    enqueue: async ({ number, headSha }: Omit<OpenedChange, 'repository'>) =>
      forge.enqueue(place(number), { headSha }, patience()),
    inQueue: async ({ number, headSha }: Omit<OpenedChange, 'repository'>) =>
      forge.findInQueue(place(number), { headSha }, patience()),
    dequeue: async ({ number, headSha }: Omit<OpenedChange, 'repository'>) =>
      forge.dequeue(place(number), { headSha }, patience()),
    rules: async () => forge.mergeRules({ repository, baseBranch: 'main' }, patience()),
    paths: async (number: number) => forge.changedPaths(place(number), patience()),
    isOpen: async ({ number }: OpenedChange) =>
      (await forge.findChange(repository, number, patience()))?.isOpen,
    tip: async () => forge.findBranchTip(repository, 'main', patience()),
  };
};

const says = { kind: 'refused', says: expect.stringMatching(/./) as unknown };

const mergeContract = (world: () => Promise<ForgeWorld>): void => {
  it('merges the head that it is told to and no other, and once', async () => {
    const opened = await world();
    const { open, merge, isOpen, tip, mainSha } = await openRepository(opened);
    const change = await open('a');
    const headSha = await opened.moveChange(change);
    expect(await merge(change)).toEqual({ kind: 'head-moved' });
    expect(await merge({ ...change, headSha: 'e'.repeat(40) as CommitSha })).toEqual({ kind: 'head-moved' });
    expect([await isOpen(change), await tip()]).toEqual([true, mainSha]);
    const moved = { ...change, headSha };
    const merged = await merge(moved);
    expect(merged).toMatchObject({ kind: 'merged' });
    const after = await tip();
    expect([await isOpen(change), after === mainSha]).toEqual([false, false]);
    expect(await merge(moved)).toEqual(merged);
    expect(await merge(moved, 'squash')).toEqual(merged);
    expect(await merge(change)).toEqual({ kind: 'head-moved' });
    expect(await tip()).toBe(after);
  });

  it('refuses what the forge refuses, in its words, and merges nothing', async () => {
    const opened = await world();
    const { repository, open, merge, isOpen, rules, tip, mainSha } = await openRepository(opened);
    expect(await rules()).toEqual({ methods: ['merge', 'squash', 'rebase'], hasQueue: false });
    await opened.allowMethods(repository, ['squash']);
    expect(await rules()).toEqual({ methods: ['squash'], hasQueue: false });
    const [change, draft, closed] = [await open('a'), await open('b', { isDraft: true }), await open('c')];
    await opened.closeChange(closed);
    expect(await merge(change, 'rebase')).toMatchObject(says);
    expect(await merge(draft, 'squash')).toMatchObject(says);
    expect(await merge(closed, 'squash')).toMatchObject(says);
    expect(await merge({ ...change, number: nobodys })).toEqual({ kind: 'gone' });
    await opened.protectMain(repository);
    expect(await merge(change, 'squash')).toMatchObject(says);
    expect([await isOpen(change), await tip()]).toEqual([true, mainSha]);
  });
};

const queueContract = (world: () => Promise<ForgeWorld>): void => {
  it('puts the head that it is told to into the queue of its branch, once', async () => {
    const opened = await world();
    const { repository, open, merge, enqueue, rules, isOpen, inQueue, dequeue } =
      await openRepository(opened);
    const [change, merged] = [await open('a'), await open('b')];
    const mergedNow = await merge(merged);
    expect(mergedNow).toMatchObject({ kind: 'merged' });
    expect(await enqueue(change)).toMatchObject(says);
    await opened.queueMain(repository);
    expect(await rules()).toMatchObject({ hasQueue: true });
    expect(await merge(change)).toMatchObject(says);
    expect(await enqueue({ ...change, headSha: merged.headSha })).toEqual({ kind: 'head-moved' });
    expect(await enqueue({ ...change, number: nobodys })).toEqual({ kind: 'gone' });
    expect(await enqueue(merged)).toEqual(mergedNow);
    expect(await inQueue(change)).toEqual({ kind: 'not-queued' });
    expect(await enqueue(change)).toEqual({ kind: 'queued' });
    expect(await enqueue(change)).toEqual({ kind: 'queued' });
    expect(await isOpen(change)).toBe(true);
    expect(await inQueue(change)).toEqual({ kind: 'queued' });
    // Of another head nothing is taken out.
    const other = { ...change, headSha: merged.headSha };
    expect([await inQueue(other), await dequeue(other)]).toEqual([
      { kind: 'head-moved' },
      { kind: 'head-moved' },
    ]);
    expect(await inQueue(change)).toEqual({ kind: 'queued' });
    expect([await dequeue(change), await dequeue(change)]).toEqual([
      { kind: 'not-queued' },
      { kind: 'not-queued' },
    ]);
    expect([await inQueue(change), await isOpen(change)]).toEqual([{ kind: 'not-queued' }, true]);
    expect([await inQueue(merged), await dequeue(merged)]).toEqual([mergedNow, mergedNow]);
    expect(await inQueue({ ...change, number: nobodys })).toEqual({ kind: 'gone' });
    expect(await enqueue(change)).toEqual({ kind: 'queued' });
  });
};

const pathsContract = (world: () => Promise<ForgeWorld>): void => {
  it('tells which paths a change touches, those that it moved away too, and of which head', async () => {
    const opened = await world();
    const { repository, open, paths } = await openRepository(opened);
    const text = Array.from({ length: 20 }, (_, line) => `line ${line}\n`).join('');
    const old = { 'old/name.nix': text, 'gone.nix': 'gone\n', 'kept.nix': 'kept\n' };
    await opened.push({ repository, branch: 'main', files: old });
    const files = { 'old/name.nix': null, 'new/näme "2".nix': text, 'gone.nix': null, 'README.md': 'more' };
    const change = await open('added.nix', { files: { ...files, 'added.nix': '1' } });
    const touched = ['README.md', 'added.nix', 'gone.nix', 'new/näme "2".nix', 'old/name.nix'];
    const told = await paths(change.number);
    expect({ ...told, paths: told?.paths.toSorted() }).toEqual({
      ...{ headSha: change.headSha, paths: touched, isComplete: true },
    });
    const headSha = await opened.moveChange(change);
    const moved = await paths(change.number);
    expect(moved).toMatchObject({ headSha, isComplete: true });
    expect(moved?.paths).toEqual(expect.arrayContaining(touched));
    expect(moved?.paths.length).toBeGreaterThan(touched.length);
    expect(await paths(nobodys)).toBeNull();
  });
};

/** @param open a world for one test */
export const mergingContract = (open: () => Promise<ForgeWorld>): void => {
  mergeContract(open);
  queueContract(open);
  pathsContract(open);
};
