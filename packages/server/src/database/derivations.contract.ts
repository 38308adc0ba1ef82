// Contract of the port's derivations.
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Database } from './database.ts';
import { collect, newNode, newPath } from './testing/samples.ts';

/** Graphs whose node i needs only nodes below i, cut into batches in any order. */
const shuffledGraphs = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 14 })
  .chain((needs) =>
    fc.record({
      needs: fc.constant(needs),
      order: fc.shuffledSubarray([...needs.keys()], { minLength: needs.length }),
      batchSize: fc.integer({ min: 1, max: needs.length }),
      saved: fc.integer({ min: 1, max: needs.length }),
    }),
  );

const makeNodes = (needs: readonly (readonly number[])[]): DrvNode[] => {
  const nodes: DrvNode[] = [];
  for (const [index, wanted] of needs.entries()) {
    const below = [...new Set(wanted.map((value) => value % Math.max(1, index)))];
    const inputs = below.flatMap((at) => {
      const node = nodes[at];
      return node === undefined
        ? []
        : [{ path: node.path, outputs: at % 2 === 0 ? ['out'] : ['dev', 'lib'] }];
    });
    nodes.push(newNode(inputs));
  }
  return nodes;
};

const closedAmong = (nodes: readonly DrvNode[], saved: ReadonlySet<DrvPath>): Set<DrvPath> => {
  const closed = new Set<DrvPath>();
  for (const node of nodes) {
    if (saved.has(node.path) && node.inputs.every((input) => closed.has(input.path))) closed.add(node.path);
  }
  return closed;
};

export const derivationContract = (given: () => Database): void => {
  it('gives back any graph, whatever the order and the batches it came in', async () => {
    await fc.assert(
      fc.asyncProperty(shuffledGraphs, async ({ needs, order, batchSize, saved }) => {
        const { derivations } = given();
        const nodes = makeNodes(needs);
        const toSave = order.slice(0, saved).flatMap((index) => nodes[index] ?? []);
        for (let at = 0; at < toSave.length; at += batchSize) {
          await derivations.save(toSave.slice(at, at + batchSize));
        }
        const there = new Set(toSave.map((node) => node.path));
        const all = nodes.map((node) => node.path);
        expect(await derivations.known(all)).toEqual(closedAmong(nodes, there));
        const read = await collect(derivations.closureOf(all));
        const byPath = new Map(read.map((node) => [node.path, node]));
        expect(byPath.size).toBe(read.length);
        for (const node of nodes) {
          const expected = there.has(node.path) ? node : null;
          expect(byPath.get(node.path) ?? null).toEqual(expected);
          expect(await derivations.find(node.path)).toEqual(expected);
          const dependents = toSave.filter((other) => other.inputs.some((input) => input.path === node.path));
          expect(new Set(await derivations.dependentsOf(node.path))).toEqual(
            new Set(dependents.map((other) => other.path)),
          );
        }
        const some = all.filter((_, index) => index % 3 !== 0);
        const byPathOf = (found: readonly DrvNode[]) => found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
        expect(byPathOf(await derivations.findAll([...some, newPath(), ...some]))).toEqual(
          byPathOf(read.filter((node) => some.includes(node.path))),
        );
        const position = new Map(read.map((node, index) => [node.path, index]));
        for (const node of read) {
          for (const { path } of node.inputs) {
            expect(position.get(path) ?? -1).toBeLessThan(position.get(node.path) ?? -1);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('reads only the closure of the roots', async () => {
    const { derivations } = given();
    const leaf = newNode();
    const root = newNode([{ path: leaf.path, outputs: ['out'] }]);
    const other = newNode([{ path: leaf.path, outputs: ['out'] }]);
    await derivations.save([leaf, root, other]);
    expect(await collect(derivations.closureOf([root.path, newPath()]))).toEqual([leaf, root]);
    expect(await derivations.dependentsOf(leaf.path)).toEqual([root.path, other.path]);
  });

  it('keeps texts and flags of any kind, and the first of two nodes with one path', async () => {
    const { derivations } = given();
    const leaf = newNode();
    const odd = newNode(
      [
        { path: leaf.path, outputs: [] },
        { path: newPath(), outputs: ['a', 'b', 'ü'] },
      ],
      {
        system: 'line\nfeed "quote" 🦀',
        fixedOutput: true,
        preferLocalBuild: true,
        allowSubstitutes: false,
        requiredFeatures: ['kvm', 'a\nb', ''],
        outputs: [
          { name: 'out', path: '' },
          { name: 'mán', path: '/nix/store/x' },
        ],
      },
    );
    await derivations.save([odd, { ...odd, system: 'later' }, leaf]);
    await derivations.save([{ ...odd, system: 'later still' }]);
    expect(await derivations.find(odd.path)).toEqual(odd);
  });

  it('knows nothing of a path that was only named', async () => {
    const { derivations } = given();
    const named = newPath();
    const root = newNode([{ path: named, outputs: ['out'] }]);
    await derivations.save([root]);
    expect(await derivations.find(named)).toBeNull();
    expect(await derivations.known([named, root.path])).toEqual(new Set());
    expect(await derivations.dependentsOf(named)).toEqual([root.path]);
  });

  it('walks a chain of 5,000 and a fan of 1,000', async () => {
    const { derivations } = given();
    const chain = [newNode()];
    for (let last = chain[0]; chain.length < 5000 && last !== undefined; last = chain.at(-1)) {
      chain.push(newNode([{ path: last.path, outputs: ['out'] }]));
    }
    const bottom = chain[0]?.path ?? newPath();
    const fan = Array.from({ length: 1000 }, () => newNode([{ path: bottom, outputs: ['out'] }]));
    // Both are there before the bottom that closes them.
    await derivations.save(chain.slice(1));
    await derivations.save(fan);
    expect((await derivations.known([...chain, ...fan].map((node) => node.path))).size).toBe(0);
    await derivations.save(chain.slice(0, 1));
    expect((await derivations.known([...chain, ...fan].map((node) => node.path))).size).toBe(6000);
    const read = await collect(derivations.closureOf(chain.slice(-1).map((node) => node.path)));
    expect(read).toEqual(chain);
    expect((await derivations.dependentsOf(bottom)).length).toBe(1001);
  });
};
