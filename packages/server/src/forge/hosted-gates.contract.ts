// Contract of the port to hosted forges: of one name a commit shows one gate, in the state that was put last.
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Gate } from './gate.ts';
import { type ForgeWorld, needs, patience } from './testing/forge-world.ts';

const gateOn = (headSha: CommitSha, more: Partial<Gate> = {}): Gate => ({
  ...{ name: 'EkaCI: packages', headSha, externalId: 'gate:1', state: { kind: 'queued' } },
  ...{ title: 'waits', summary: 'It *waits*.', detailsUrl: 'https://ci.example/changes/1' },
  ...more,
});

const concluded = (conclusion: 'success' | 'failure' | 'action-required'): Gate['state'] => ({
  ...{ kind: 'concluded', conclusion, startedAtMs: 1_700_000_000_000, endedAtMs: 1_700_000_060_000 },
});

const openChange = async (world: ForgeWorld) => {
  const { name: repository } = await world.createRepository();
  const ann = await world.createPerson('ann');
  const { headSha } = await world.openChange({ repository, files: { 'a.nix': '1\n2\n' }, by: ann });
  const place = { repository, baseBranch: 'main' };
  const put = async (gate: Gate, id: number | null = null) =>
    world.forge.putGate(place, gate, { id, signal: patience() });
  return { repository, headSha, put, shown: async () => world.gates(repository, headSha) };
};

/** @param open a world for one test */
export const gatesContract = (open: () => Promise<ForgeWorld>): void => {
  it('shows one gate of a name, whoever remembers its id, in the newest state', async (context) => {
    const world = await open();
    needs(world, 'statuses', context);
    const { headSha, put, shown } = await openChange(world);
    const id = await put(gateOn(headSha));
    expect(await put(gateOn(headSha))).toBe(id);
    expect(await put(gateOn(headSha), id)).toBe(id);
    const one = { id, name: 'EkaCI: packages', externalId: 'gate:1', annotations: [], actions: [] };
    expect(await shown()).toEqual([{ ...one, state: 'queued', title: 'waits' }]);
    const building = gateOn(headSha, { state: { kind: 'in-progress', startedAtMs: 1_700_000_000_000 } });
    expect(await put({ ...building, title: '1 of 2' })).toBe(id);
    expect(await shown()).toEqual([{ ...one, state: 'in-progress', title: '1 of 2' }]);
    await put(gateOn(headSha, { state: concluded('failure'), title: 'fails', externalId: 'gate:2' }), id);
    const failed = { ...one, externalId: 'gate:2', state: 'failure', title: 'fails' };
    expect(await shown()).toEqual([failed]);
    // Somebody had it built once more.
    await put(building);
    expect(await shown()).toEqual([{ ...one, state: 'in-progress', title: 'waits' }]);
    await put(gateOn(headSha, { state: concluded('success') }), id);
    expect(await shown()).toEqual([{ ...one, state: 'success', title: 'waits' }]);
  });

  it('makes it anew where the id that is remembered is nobody’s', async (context) => {
    const world = await open();
    needs(world, 'statuses', context);
    const { headSha, put, shown } = await openChange(world);
    const id = await put(gateOn(headSha), 9_999_999);
    expect(id).not.toBe(9_999_999);
    expect(await shown()).toMatchObject([{ id, state: 'queued' }]);
  });

  it('tells names and commits apart', async (context) => {
    const world = await open();
    needs(world, 'statuses', context);
    const { repository, headSha, put, shown } = await openChange(world);
    const main = await world.push({ repository, branch: 'main', files: { b: '1' } });
    const ids = [
      await put(gateOn(headSha)),
      await put(gateOn(headSha, { name: 'ekaci: Packages', state: concluded('success') })),
      await put(gateOn(main, { state: concluded('failure') })),
    ];
    expect(new Set(ids).size).toBe(3);
    expect((await shown()).map(({ name, state }) => `${name} ${state}`).toSorted()).toEqual([
      'EkaCI: packages queued',
      'ekaci: Packages success',
    ]);
    expect(await world.gates(repository, main)).toMatchObject([
      { name: 'EkaCI: packages', state: 'failure' },
    ]);
  });

  it('keeps the buttons and the remarks of a gate, each once, as they were put last', async (context) => {
    const world = await open();
    needs(world, 'statuses', context);
    const { headSha, put, shown } = await openChange(world);
    const annotation = {
      path: 'a.nix',
      startLine: 1,
      endLine: 2,
      level: 'failure',
      message: 'no "b" 🦀',
    } as const;
    const action = { identifier: 'approve', label: 'Approve', description: 'Builds this head' };
    const gate = gateOn(headSha, { state: concluded('action-required'), annotations: [annotation] });
    const id = await put({ ...gate, actions: [action] });
    await put({ ...gate, actions: [action] });
    await put({ ...gate, actions: [action] }, id);
    const annotations = [{ path: 'a.nix', message: 'no "b" 🦀' }];
    expect(await shown()).toMatchObject([{ state: 'action-required', actions: ['approve'], annotations }]);
    await put({ ...gate, state: { kind: 'queued' }, actions: [] });
    expect(await shown()).toMatchObject([{ state: 'queued', actions: [], annotations }]);
  });

  it('makes one gate of two that are put at the same time, or makes both be the same', async (context) => {
    const world = await open();
    needs(world, 'statuses', context);
    const { headSha, put, shown } = await openChange(world);
    const id = await put(gateOn(headSha));
    await Promise.all([put(gateOn(headSha), id), put(gateOn(headSha))]);
    expect(await shown()).toHaveLength(1);
  });
};
