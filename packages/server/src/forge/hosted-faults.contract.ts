// Contract of the port to hosted forges: what goes wrong says whether and when it may go well; nobody waits who was told
// to stop.
import type { CommitSha } from '@eka-ci/core/ids';
import { describe, expect, it, vi } from 'vitest';
import type { HostedForge } from './hosted-forge.ts';
import { type ForgeWorld, type OpenedChange, patience } from './testing/forge-world.ts';

interface Asked extends OpenedChange {
  readonly forge: HostedForge;
  readonly mainSha: CommitSha;
  readonly repositoryId: number;
  readonly ann: { readonly id: number; readonly login: string };
  readonly commentId: number;
}

type Ask = (asked: Asked, signal: AbortSignal) => Promise<unknown>;

const placeOf = ({ repository, number }: OpenedChange) => ({ repository, number, baseBranch: 'main' });

/** One of each kind. */
const asks: readonly (readonly [string, Ask])[] = [
  [
    'findChange',
    async ({ forge, repository, number }, signal) => forge.findChange(repository, number, signal),
  ],
  ['findBranchTip', async ({ forge, repository }, signal) => forge.findBranchTip(repository, 'main', signal)],
  [
    'findRepository',
    async ({ forge, repository, repositoryId: id }, signal) =>
      forge.findRepository({ id, name: repository }, signal),
  ],
  [
    'listings',
    async ({ forge }, signal) => {
      const all: unknown[] = [];
      for await (const listing of forge.listings(signal)) all.push(listing);
      return all;
    },
  ],
  [
    'putGate',
    async ({ forge, repository, headSha }, signal) => {
      const gate = { name: 'EkaCI', headSha, externalId: 'gate:1', state: { kind: 'queued' } } as const;
      const more = { title: 'waits', summary: 'waits', detailsUrl: null };
      return forge.putGate({ repository, baseBranch: 'main' }, { ...gate, ...more }, { id: null, signal });
    },
  ],
  ['rightOf', async ({ forge, repository, ann }, signal) => forge.rightOf(repository, ann, signal)],
  [
    'react',
    async (asked, signal) => {
      const { commentId } = asked;
      return asked.forge.react(placeOf(asked), { commentId, reaction: 'accepted' }, signal);
    },
  ],
  [
    'putComment',
    async (asked, signal) => {
      const comment = { key: 'summary', text: 'text', sinceMs: 0 };
      return asked.forge.putComment(placeOf(asked), comment, { id: null, signal });
    },
  ],
  [
    'committedAt',
    async ({ forge, repository, headSha }, signal) => forge.committedAt(repository, headSha, signal),
  ],
  [
    'mergeRules',
    async ({ forge, repository }, signal) => forge.mergeRules({ repository, baseBranch: 'main' }, signal),
  ],
  [
    'merge',
    async (asked, signal) =>
      asked.forge.merge(placeOf(asked), { headSha: asked.headSha, method: 'merge' }, signal),
  ],
  [
    'enqueue',
    async (asked, signal) => asked.forge.enqueue(placeOf(asked), { headSha: asked.headSha }, signal),
  ],
  ['changedPaths', async (asked, signal) => asked.forge.changedPaths(placeOf(asked), signal)],
];

/** Whatever a driver has to find out first is found out. */
const prepare = async (world: ForgeWorld): Promise<Asked> => {
  const { forge } = world;
  const { id: repositoryId, name: repository, mainSha } = await world.createRepository();
  const ann = await world.createPerson('ann');
  const change = await world.openChange({ repository, files: { a: '1' }, by: ann });
  const commentId = await world.comment(change, { by: ann, text: 'text' });
  const asked = { ...change, forge, mainSha, repositoryId, ann, commentId };
  expect(await forge.findChange(repository, change.number, patience())).toMatchObject({ isOpen: true });
  return asked;
};

const failedWith = async (asking: Promise<unknown>): Promise<unknown> => {
  try {
    const answer = await asking;
    return { answered: answer };
  } catch (error) {
    return error;
  }
};

const failureContract = (open: () => Promise<ForgeWorld>): void => {
  it.each([
    ['may pass', { mayPass: true, retryAtMs: null }],
    ['will not pass', { mayPass: false, retryAtMs: null }],
  ])('says so of what %s, and does nothing', async (_, fault) => {
    const world = await open();
    const asked = await prepare(world);
    await world.fail(fault);
    for (const [name, ask] of asks) {
      const error = await failedWith(ask(asked, patience()));
      expect(error, name).toMatchObject(fault);
      expect(error, name).toMatchObject({
        code: expect.stringMatching(/^[A-Z][A-Z_]+$/) as unknown,
        message: expect.stringMatching(/./) as unknown,
      });
      expect(error, name).toBeInstanceOf(Error);
    }
    await world.recover();
    expect(await world.gates(asked.repository, asked.headSha)).toEqual([]);
    expect(await world.comments(asked)).toMatchObject([{ reactions: [] }]);
    const { repository, number, mainSha } = asked;
    expect(await asked.forge.findChange(repository, number, patience())).toMatchObject({ isOpen: true });
    expect(await asked.forge.findBranchTip(repository, 'main', patience())).toBe(mainSha);
  });

  it('says when it may be asked again, where the forge says that', async () => {
    const world = await open();
    const asked = await prepare(world);
    const retryAtMs = Date.now() + 50 * 60_000;
    await world.fail({ mayPass: true, retryAtMs });
    for (const [name, ask] of asks) {
      const error = await failedWith(ask(asked, patience()));
      expect(error, name).toMatchObject({ mayPass: true, retryAtMs: expect.any(Number) as unknown });
      const said = error as { readonly retryAtMs: number };
      // The forge may round it.
      expect(Math.abs(said.retryAtMs - retryAtMs), name).toBeLessThan(60_000);
    }
  });
};

const stopContract = (open: () => Promise<ForgeWorld>): void => {
  it('asks nothing where the signal was there first', async () => {
    const world = await open();
    const asked = await prepare(world);
    const before = await world.askedCount();
    for (const [name, ask] of asks) {
      const reason = new Error(`${name} is not wanted`);
      expect(await failedWith(ask(asked, AbortSignal.abort(reason))), name).toBe(reason);
    }
    expect(await world.askedCount()).toBe(before);
  });

  it.each(['silent', 'asks-for-a-pause'] as const)('stops at once where the forge is %s', async (how) => {
    const world = await open();
    const asked = await prepare(world);
    await world.stall(how);
    for (const [name, ask] of asks) {
      const before = await world.askedCount();
      const stop = new AbortController();
      const ending = failedWith(ask(asked, stop.signal));
      // One that waits for a pause to end need not ask before.
      if (how === 'silent' || name === asks[0]?.[0]) {
        await vi.waitFor(async () => expect(await world.askedCount(), name).toBeGreaterThan(before), 10_000);
      }
      const reason = new Error(`${name} is not wanted any more`);
      stop.abort(reason);
      expect(await ending, name).toBe(reason);
    }
  });
};

/** @param open a world for one test */
export const faultContract = (open: () => Promise<ForgeWorld>): void => {
  describe('what goes wrong', () => {
    failureContract(open);
    stopContract(open);
  });
};
