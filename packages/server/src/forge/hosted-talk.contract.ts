// Contract of the port to hosted forges: what people may do, and what we answer them.
import { expect, it } from 'vitest';
import type { Reaction } from './hosted-talk.ts';
import { type ForgeWorld, needs, type OpenedChange, patience } from './testing/forge-world.ts';

const placeOf = ({ repository, number }: OpenedChange) => ({ repository, number, baseBranch: 'main' });

const rightsContract = (open: () => Promise<ForgeWorld>): void => {
  it('knows what somebody may do, as of now', async () => {
    const { forge, ...world } = await open();
    const { name } = await world.createRepository({ isPrivate: true });
    const ann = await world.createPerson('ann');
    const right = async (repository = name) => forge.rightOf(repository, ann, patience());
    expect(await right()).toBe('none');
    for (const given of ['read', 'write', 'admin', 'read'] as const) {
      await world.setRight(name, ann.login, given);
      expect(await right()).toBe(given);
      expect(await right(name.toUpperCase())).toBe(given);
    }
  });

  it('gives nobody the right of whoever had their login before, and none to whom it does not know', async () => {
    const { forge, ...world } = await open();
    const { name } = await world.createRepository();
    const [ann, ben] = [await world.createPerson('ann'), await world.createPerson('ben')];
    await world.setRight(name, ann.login, 'admin');
    const right = async (user: { readonly id: number; readonly login: string }) =>
      forge.rightOf(name, user, patience());
    expect(await right(ann)).toBe('admin');
    expect(await right({ id: ann.id, login: ann.login.toUpperCase() })).toBe('admin');
    expect(await right({ id: ben.id, login: ann.login })).toBe('none');
    expect(await right({ id: ann.id, login: `${ann.login}-of-nobody` })).toBe('none');
  });

  it('knows when a commit was made, as it says itself', async () => {
    const { forge, ...world } = await open();
    const { name: repository } = await world.createRepository();
    const atMs = 1_600_000_000_000;
    const sha = await world.push({ repository, branch: 'main', files: { a: '1' }, atMs });
    await world.push({ repository, branch: 'main', files: { a: '2' }, atMs: atMs + 60_000 });
    expect(await forge.committedAt(repository, sha, patience())).toBe(atMs);
    expect(await forge.committedAt(repository, 'e'.repeat(40) as typeof sha, patience())).toBeNull();
  });
};

const reactionContract = (open: () => Promise<ForgeWorld>): void => {
  it('reacts to a comment once in each way, and says where it is gone', async (context) => {
    const world = await open();
    needs(world, 'comments', context);
    const { name: repository } = await world.createRepository();
    const ann = await world.createPerson('ann');
    const change = await world.openChange({ repository, files: { a: '1' }, by: ann });
    const [first, other] = [
      await world.comment(change, { by: ann, text: 'one' }),
      await world.comment(change, { by: ann, text: 'other' }),
    ];
    const react = async (commentId: number, reaction: Reaction) =>
      world.forge.react(placeOf(change), { commentId, reaction }, patience());
    for (const reaction of ['accepted', 'accepted', 'merged', 'denied'] as const) {
      expect(await react(first, reaction)).toBe(true);
    }
    const shown = async () => (await world.comments(change)).map(({ reactions }) => reactions);
    const [ofFirst = [], ofOther] = await shown();
    expect([ofFirst.length, new Set(ofFirst).size, ofOther]).toEqual([3, 3, []]);
    await world.deleteComment(change, other);
    expect(await react(other, 'accepted')).toBe(false);
    expect(await shown()).toEqual([ofFirst]);
  });
};

const commentContract = (open: () => Promise<ForgeWorld>): void => {
  const openChange = async (world: ForgeWorld) => {
    const { name: repository } = await world.createRepository();
    const ann = await world.createPerson('ann');
    const change = await world.openChange({ repository, files: { a: '1' }, by: ann });
    const put = async (key: string, text: string, id: number | null = null) => {
      const comment = { key, text, sinceMs: Date.now() - 60_000 };
      return world.forge.putComment(placeOf(change), comment, { id, signal: patience() });
    };
    const ours = async () =>
      (await world.comments(change)).filter(({ isOurs }) => isOurs).map(({ id, text }) => ({ id, text }));
    return { change, ann, put, ours };
  };

  it('says a thing once, and edits it in place', async (context) => {
    const world = await open();
    needs(world, 'comments', context);
    const { put, ours } = await openChange(world);
    const id = await put('summary', 'one\n\n- `two` 🦀');
    expect(await put('summary', 'one\n\n- `two` 🦀')).toBe(id);
    const other = await put('summary:2', 'another thing');
    expect(await put('summary', 'three', id)).toBe(id);
    expect(await ours()).toEqual([
      { id, text: 'three' },
      { id: other, text: 'another thing' },
    ]);
    expect(await put('summary', 'four')).toBe(id);
    expect(await ours()).toContainEqual({ id, text: 'four' });
  });

  it('takes nobody else’s comment for its own, and says anew what somebody deleted', async (context) => {
    const world = await open();
    needs(world, 'comments', context);
    const { change, ann, put, ours } = await openChange(world);
    const theirs = await world.comment(change, { by: ann, text: 'merged, trust me', as: 'summary' });
    const id = await put('summary', 'not merged');
    expect(id).not.toBe(theirs);
    await world.comment(change, { by: ann, text: 'merged after all', as: 'summary' });
    expect(await put('summary', 'still not merged')).toBe(id);
    const shown = (await world.comments(change)).map(({ isOurs, text }) => `${isOurs}: ${text}`);
    expect(shown.toSorted()).toEqual([
      'false: merged after all',
      'false: merged, trust me',
      'true: still not merged',
    ]);
    await world.deleteComment(change, id);
    const anew = await put('summary', 'not merged at all', id);
    expect(anew).not.toBe(id);
    expect(await ours()).toEqual([{ id: anew, text: 'not merged at all' }]);
  });
};

/** @param open a world for one test */
export const talkContract = (open: () => Promise<ForgeWorld>): void => {
  rightsContract(open);
  reactionContract(open);
  commentContract(open);
};
