import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DrvNodeTable, type NodeId } from '../drv-graph.ts';
import { randomDrvNodes } from '../testing/random-graph.ts';
import { chooseEvicted, evictionTierOf, evictionTiers } from './eviction.ts';

const hourMs = 3_600_000;

describe('what is forgotten first', () => {
  it('is what failed with a dependency, then what failed, then what succeeded, each after its time', () => {
    expect(evictionTierOf('dependency-failed', hourMs)).toBe('least-recently-used');
    expect(evictionTierOf('dependency-failed', hourMs + 1)).toBe('transitive-failure');
    expect(evictionTierOf('failed', 6 * hourMs)).toBe('least-recently-used');
    expect(evictionTierOf('failed', 6 * hourMs + 1)).toBe('failure');
    expect(evictionTierOf('succeeded', 24 * hourMs)).toBe('least-recently-used');
    expect(evictionTierOf('succeeded', 24 * hourMs + 1)).toBe('success');
    for (const state of ['queued', 'buildable', 'building', 'interrupted', 'unsatisfiable', null] as const)
      expect(evictionTierOf(state, 1000 * hourMs)).toBe('least-recently-used');
  });

  it('goes in that order, the least recently used first, and only as many as it takes', () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.integer({ min: 1, max: 80 }),
        fc.nat(90),
        fc.array(fc.record({ tier: fc.nat(3), use: fc.nat(5), free: fc.boolean() }), {
          minLength: 80,
          maxLength: 80,
        }),
        (seed, size, target, facts) => {
          const table = new DrvNodeTable();
          for (const node of randomDrvNodes({ nodes: size, seed })) table.add(node);
          const ids = Uint32Array.from({ length: size }, (_, id) => id).filter(
            (id) => facts[id]?.free === true,
          );
          const tierOf = (id: NodeId) => evictionTiers[facts[id]?.tier ?? 0] ?? 'success';
          const lastUseOf = (id: NodeId): number => facts[id]?.use ?? 0;
          const evicted = chooseEvicted(table, { ids, tierOf, lastUseOf }, target);
          const keyOf = (id: NodeId): number => (facts[id]?.tier ?? 0) * 10 + lastUseOf(id);
          const kept = [...ids].filter((id) => !evicted.has(id));
          for (const gone of evicted) {
            expect(ids).toContain(gone);
            for (const id of kept) expect(keyOf(gone)).toBeLessThanOrEqual(keyOf(id));
          }
          const before = table.count;
          const last = [...evicted].sort((a, b) => keyOf(a) - keyOf(b) || a - b).at(-1);
          table.drop(evicted);
          // It stopped as soon as it might.
          if (kept.length > 0) expect(table.count).toBeLessThanOrEqual(Math.max(target, 0));
          if (before <= target) expect(evicted.size).toBe(0);
          if (last === undefined) return;
          const again = new DrvNodeTable();
          for (const node of randomDrvNodes({ nodes: size, seed })) again.add(node);
          evicted.delete(last);
          again.drop(evicted);
          expect(again.count).toBeGreaterThan(target);
        },
      ),
      { numRuns: 200 },
    );
  });
});
