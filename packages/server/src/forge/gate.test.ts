import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chooseFailureGates } from './gate.ts';

const names = fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 80, size: 'max' });

it('gives at most 47 failed packages a gate, keeps those that have one, and loses none', () => {
  fc.assert(
    fc.property(fc.array(names, { maxLength: 5 }), fc.nat(60), (rounds, mayCreate) => {
      const shownBefore = new Set<string>();
      for (const round of rounds) {
        const failed = round.map((name) => ({ name }));
        const { shown, left } = chooseFailureGates(failed, { shownBefore, mayCreate });
        expect(new Set([...shown, ...left])).toEqual(new Set(failed));
        expect(left.some(({ name }) => shownBefore.has(name))).toBe(false);
        const made = shown.filter(({ name }) => !shownBefore.has(name));
        expect(made.length).toBeLessThanOrEqual(mayCreate);
        for (const { name } of shown) shownBefore.add(name);
        expect(shownBefore.size).toBeLessThanOrEqual(47);
        const again = chooseFailureGates(failed.toReversed(), { shownBefore, mayCreate: 0 });
        expect(new Set(again.shown.map(({ name }) => name))).toEqual(new Set(shown.map(({ name }) => name)));
      }
    }),
  );
});
