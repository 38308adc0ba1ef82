import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { afterAll, describe, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { newNode } from '../../database/testing/samples.ts';
import type { GraphLease } from './shared-graph.ts';
import { writeFiles } from './testing/graph-changes.ts';
import { createWorlds, hourMs, leaseOf, never, type World } from './testing/world.ts';

const worlds = createWorlds();
const { top } = worlds;
afterAll(() => worlds.close());
const openWorld = worlds.open;

/** Ten chains of ten, sharing nothing; the last of each is its root. */
const chains = Array.from({ length: 10 }, () => {
  const chain: DrvNode[] = [];
  for (let at = 0; at < 10; at++) {
    const below = chain.at(-1);
    chain.push(newNode(below === undefined ? [] : [{ path: below.path, outputs: ['out'] }]));
  }
  return chain;
});
const rootOf = (chain: number): DrvPath => chains[chain]?.at(-1)?.path ?? ('' as DrvPath);
const chainsStore = join(top, 'chains');
writeFiles(chainsStore, chains.flat());

const kindsOf = ({ events }: World): string[] => events.map(({ kind }) => kind);

describe('a graph that judgements share', () => {
  it('reads nothing twice, and lets go of nothing that somebody still holds', async () => {
    const world = await openWorld(25, { place: chainsStore });
    const [one, other] = await Promise.all([
      leaseOf(world, [rootOf(0), rootOf(1)]),
      leaseOf(world, [rootOf(1)]),
    ]);
    expect(world.shared.counts()).toMatchObject({ nodes: 20, pinned: 20, leases: 2, hits: 10, misses: 20 });
    const id = one.graph.find(rootOf(1)) ?? -1;
    one.release();
    one.release();
    expect(world.shared.counts()).toMatchObject({ nodes: 20, pinned: 10, leases: 1 });
    expect(one.graph.find(rootOf(1))).toBeUndefined();
    const third = await leaseOf(world, [rootOf(2)]);
    // The first chain has gone; what the other lease holds has its ids still.
    expect(world.shared.counts().pinned).toBe(20);
    expect(world.shared.counts().evicted['least-recently-used']).toBeGreaterThan(0);
    expect(world.shared.counts().nodes).toBeLessThanOrEqual(25);
    expect(other.graph.find(rootOf(1))).toBe(id);
    expect([...other.graph.closureOf([id])].map((node) => other.graph.pathOf(node))).toEqual(
      chains[1]?.map(({ path }) => path),
    );
    expect(other.graph.find(rootOf(2))).toBeUndefined();
    expect(third.graph.ids()).toHaveLength(10);
  });

  it('finds what has gone from below something that stayed, in rows although the files are gone', async () => {
    const place = join(top, 'gone');
    writeFiles(place, chains.flat());
    const world = await openWorld(10, { place });
    (await leaseOf(world, [rootOf(0)])).release();
    // The lower half was built long ago, and goes before the upper half that needs it.
    const lower = chains[0]?.slice(0, 5) ?? [];
    world.shared.recorded(
      lower.map(({ path }) => ({ drv: path, to: 'succeeded', atMs: world.now - 25 * hourMs })),
    );
    (await leaseOf(world, [chains[1]?.[2]?.path ?? rootOf(1)])).release();
    expect(world.shared.counts().evicted).toMatchObject({ success: 5, 'least-recently-used': 0 });
    expect(world.shared.counts().states.placeholder).toBe(1);
    rmSync(place, { recursive: true });
    const again = await leaseOf(world, [rootOf(0)]);
    expect(again.graph.closureOf([again.graph.find(rootOf(0)) ?? -1])).toHaveLength(10);
    expect(world.events).toContainEqual(expect.objectContaining({ kind: 'reloaded', nodes: 5 }));
    expect(world.shared.counts()).toMatchObject({ hits: 5, misses: 10 + 3 + 5 });
  });

  it('forgets by what became of builds, and when', async () => {
    const world = await openWorld(40, { place: chainsStore });
    const [held, ...free] = await Promise.all([0, 1, 2, 3].map((chain) => leaseOf(world, [rootOf(chain)])));
    const tell = (chain: number, to: 'failed' | 'dependency-failed' | 'succeeded', hours: number): void =>
      world.shared.recorded(
        (chains[chain] ?? []).map(({ path }) => ({ drv: path, to, atMs: world.now - hours * hourMs })),
      );
    tell(0, 'dependency-failed', 100);
    tell(1, 'succeeded', 23);
    tell(2, 'failed', 7);
    tell(3, 'dependency-failed', 2);
    for (const lease of free) lease.release();
    expect(world.shared.counts().states).toMatchObject({
      'dependency-failed': 20,
      failed: 10,
      succeeded: 10,
    });
    await leaseOf(world, [rootOf(4)]);
    expect(world.shared.counts().evicted).toMatchObject({ 'transitive-failure': 10, failure: 4 });
    world.now += 2 * hourMs;
    await leaseOf(world, [rootOf(5)]);
    expect(world.shared.counts().evicted).toMatchObject({
      failure: 10,
      success: 4,
      'least-recently-used': 0,
    });
    // What came has no state of what went.
    expect(world.shared.counts().states).toMatchObject({
      'dependency-failed': 10,
      failed: 0,
      succeeded: 6,
      unknown: 20,
    });
    expect(held?.graph.ids()).toHaveLength(10);
  });

  it('says once that it fills, and grows past the capacity while all of it is held', async () => {
    const world = await openWorld(25, { place: chainsStore });
    const leases = [await leaseOf(world, [rootOf(0)]), await leaseOf(world, [rootOf(1)])];
    expect(kindsOf(world)).toEqual([]);
    for (const chain of [2, 3, 4]) leases.push(await leaseOf(world, [rootOf(chain)]));
    expect(kindsOf(world)).toEqual(['filling', 'overfull']);
    expect(world.events[1]).toMatchObject({ nodes: 30, capacity: 25, pinned: 30, leases: 3 });
    expect(world.shared.counts()).toMatchObject({ nodes: 50, pinned: 50 });
    for (const lease of leases) lease.release();
    expect(world.shared.counts()).toMatchObject({ pinned: 0, leases: 0 });
    expect(world.shared.counts().nodes).toBeLessThanOrEqual(25);
    expect(kindsOf(world).filter((kind) => kind !== 'evicted')).toEqual(['filling', 'overfull']);
  });

  it('stores what somebody read who was stopped before it was stored', async () => {
    const world = await openWorld(100, { place: chainsStore });
    const stopped = new AbortController();
    const late: Database['derivations'] = {
      ...world.database.derivations,
      save: () => Promise.reject(new Error('the disk is full')),
    };
    const { shared } = await openWorld(100, {
      place: chainsStore,
      database: { ...world.database, derivations: late },
    });
    const first = shared.lease();
    await expect(first.ingest([rootOf(0)], never)).rejects.toThrow('the disk is full');
    first.release();
    late.save = world.database.derivations.save;
    stopped.abort(new Error('a newer head'));
    await expect(shared.lease().ingest([rootOf(1)], stopped.signal)).rejects.toThrow('a newer head');
    const lease = shared.lease();
    await lease.ingest([rootOf(0)], never);
    expect((await world.database.derivations.known([rootOf(0)])).size).toBe(1);
    expect(shared.counts()).toMatchObject({ hits: 10, misses: 0 });
  });

  it('drops nothing while somebody reads, be it released meanwhile', async () => {
    const { database } = await openWorld(5);
    const held: GraphLease[] = [];
    let reads = 0;
    const findAll: Database['derivations']['findAll'] = (paths) => {
      if (++reads === 5) held.shift()?.release();
      return database.derivations.findAll(paths);
    };
    const derivations = { ...database.derivations, findAll };
    const { shared } = await openWorld(5, { place: chainsStore, database: { ...database, derivations } });
    held.push(await leaseOf({ shared }, [rootOf(0)]));
    reads = 0;
    const second = await leaseOf({ shared }, [rootOf(1)]);
    expect(held).toEqual([]);
    expect(second.graph.ids()).toHaveLength(10);
    expect(shared.counts()).toMatchObject({ nodes: 10, pinned: 10 });
  });

  it('leaves nothing to a lease that was released before its turn came', async () => {
    const world = await openWorld(100, { place: chainsStore });
    const lease = world.shared.lease();
    const ingested = lease.ingest([rootOf(0)], never);
    lease.release();
    await ingested;
    expect(lease.graph.ids()).toHaveLength(0);
    expect(world.shared.counts()).toMatchObject({ pinned: 0, leases: 0 });
  });
});
