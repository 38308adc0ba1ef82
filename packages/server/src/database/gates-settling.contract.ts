// Contract of the port's outbox, as a property: in the end a forge shows what is wanted, whatever happens on the way.
import type { CommitSha } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Gates, StoredGate, WantedGate } from './database.ts';

type Step =
  | { readonly kind: 'want'; readonly name: string; readonly says: number }
  | { readonly kind: 'claim' }
  | { readonly kind: 'answer'; readonly which: number; readonly how: 'sent' | 'failed' | 'refused' };

const wantedOf = (host: string, { name, says }: Extract<Step, { kind: 'want' }>): WantedGate => ({
  host,
  repository: 'owner/set',
  headSha: '1'.repeat(40) as CommitSha,
  name,
  wantedJson: JSON.stringify({ says }),
  placeJson: '{}',
  isConcluded: false,
  priority: 1,
});

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('want' as const),
    name: fc.constantFrom('a', 'b', 'c'),
    says: fc.nat(3),
  }),
  fc.constant({ kind: 'claim' as const }),
  fc.record({
    kind: fc.constant('answer' as const),
    which: fc.nat(5),
    how: fc.constantFrom('sent' as const, 'failed' as const, 'refused' as const),
  }),
);

/** A forge, what is on its way there, and what was wanted last. */
class World {
  readonly #gates: Gates;
  readonly #host: string;
  readonly shown = new Map<string, string>();
  readonly newest = new Map<string, string>();
  readonly underWay: StoredGate[] = [];
  /** Given up in the state that is wanted now. */
  readonly givenUp = new Set<string>();
  #nowMs = 1000;

  constructor(gates: Gates, host: string) {
    this.#gates = gates;
    this.#host = host;
  }

  async take(step: Step): Promise<void> {
    this.#nowMs += 1;
    switch (step.kind) {
      case 'want': {
        const gate = wantedOf(this.#host, step);
        if ((await this.#gates.want([gate], this.#nowMs)) > 0) this.givenUp.delete(step.name);
        this.newest.set(step.name, gate.wantedJson);
        return;
      }
      case 'claim': {
        const untilMs = Number.MAX_SAFE_INTEGER;
        const due = await this.#gates.claimDue({
          owner: 'server',
          host: this.#host,
          nowMs: this.#nowMs,
          untilMs,
          limit: 2,
        });
        for (const { name } of due) expect(this.underWay.map((one) => one.name)).not.toContain(name);
        this.underWay.push(...due);
        return;
      }
      case 'answer':
        return this.#answer(step.which, step.how);
    }
  }

  async #answer(which: number, how: Extract<Step, { kind: 'answer' }>['how']): Promise<void> {
    const [gate] = this.underWay.splice(which % Math.max(1, this.underWay.length), 1);
    if (gate === undefined) return;
    const atMs = this.#nowMs;
    if (how === 'sent') {
      this.shown.set(gate.name, gate.wantedJson);
      await this.#gates.sent(gate, { forgeId: 1, atMs });
      return;
    }
    await this.#gates.failed(gate, { fault: 'F', nextAtMs: how === 'failed' ? atMs : null, atMs });
    const now = await this.#gates.find(gate);
    if (how === 'refused' && now?.version === gate.version) this.givenUp.add(gate.name);
  }

  /** Everything goes well from now on. */
  async settle(): Promise<void> {
    do {
      while (this.underWay.length > 0) await this.take({ kind: 'answer', which: 0, how: 'sent' });
      await this.take({ kind: 'claim' });
    } while (this.underWay.length > 0);
  }
}

export const settlingContract = (given: () => Gates): void => {
  it('shows what is wanted in the end, whatever happens on the way', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (taken) => {
        // No other run has it; the database is shared.
        const host = `settling-${runs++}.org`;
        const world = new World(given(), host);
        for (const step of taken) await world.take(step);
        await world.settle();
        for (const name of world.givenUp) world.newest.delete(name);
        for (const [name, text] of world.newest) expect(world.shown.get(name)).toBe(text);
        const counts = (await given().counts()).find((one) => one.host === host);
        expect(counts?.waiting ?? 0).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
};
