// Which builder takes a ready build: what each offers, what is free of it, and how fast it is. No clock.
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import { type BuildNeeds, canBuild, whatIsMissing } from '../../builder/builder.ts';
import type { BuilderPool, PooledBuilder } from '../../builder/builder-pool.ts';

export type SlotKind = 'build' | 'fixedOutput';

/** What a derivation asks of a builder. */
export interface PlacementNeeds extends BuildNeeds {
  readonly slot: SlotKind;
  readonly preferLocal: boolean;
}

export const needsOf = (graph: DrvGraph, node: NodeId): PlacementNeeds => ({
  system: graph.systemOf(node),
  requiredFeatures: graph.requiredFeaturesOf(node),
  slot: graph.isFixedOutput(node) ? 'fixedOutput' : 'build',
  preferLocal: graph.prefersLocalBuild(node),
});

const takes = (builder: PooledBuilder, needs: PlacementNeeds): boolean =>
  builder.slots[needs.slot] > 0 &&
  canBuild(builder, needs) &&
  builder.mandatoryFeatures.every((feature) => needs.requiredFeatures.includes(feature));

/** All that could build it, whether they answer and are free or not. */
export const buildersFor = (
  builders: readonly PooledBuilder[],
  needs: PlacementNeeds,
): readonly PooledBuilder[] => {
  const able = builders.filter((builder) => takes(builder, needs));
  const local = needs.preferLocal ? able.filter(({ isLocal }) => isLocal) : [];
  return local.length > 0 ? local : able;
};

const lacking = (builder: PooledBuilder, needs: PlacementNeeds): string => {
  const missing = whatIsMissing(builder, needs);
  if (missing !== null) return missing;
  const unasked = builder.mandatoryFeatures.filter((feature) => !needs.requiredFeatures.includes(feature));
  return unasked.length > 0
    ? `${builder.name} builds only what requires ${unasked.join(', ')}`
    : `${builder.name} has no slot for it`;
};

const mostNamed = 3;

/** What all builders together lack for it, for people; null where one can build it. */
export const whatNobodyHas = (builders: readonly PooledBuilder[], needs: PlacementNeeds): string | null => {
  if (buildersFor(builders, needs).length > 0) return null;
  const reasons = [...new Set(builders.map((builder) => lacking(builder, needs)))];
  const left = reasons.length - mostNamed;
  const named = reasons.slice(0, mostNamed).join('; ');
  return left > 0 ? `${named}; and ${left} more builders have not either` : named;
};

/** Needs as small numbers, so that ready builds of the same kind can wait in one line. */
export class NeedKinds {
  readonly #numbers = new Map<string, number>();
  readonly #byList = new WeakMap<readonly string[], Map<string, number>>();
  readonly #needs: PlacementNeeds[] = [];

  kindOf(needs: PlacementNeeds): number {
    const { system, requiredFeatures, slot, preferLocal } = needs;
    // A graph gives equal lists as one object.
    const key = `${slot}${preferLocal ? ' local ' : ' '}${system}`;
    const ofList = this.#byList.get(requiredFeatures) ?? new Map<string, number>();
    this.#byList.set(requiredFeatures, ofList);
    const kind = ofList.get(key) ?? this.#numberOf(needs);
    ofList.set(key, kind);
    return kind;
  }

  #numberOf(needs: PlacementNeeds): number {
    const { system, requiredFeatures, slot, preferLocal } = needs;
    const key = JSON.stringify([system, [...new Set(requiredFeatures)].sort(), slot, preferLocal]);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#needs.length);
    return this.#needs.push(needs) - 1;
  }

  needsOf(kind: number): PlacementNeeds {
    const needs = this.#needs[kind];
    if (needs === undefined) throw new RangeError(`there is no kind ${kind}`);
    return needs;
  }

  /** Kinds that none of these could ever build. */
  lackedBy(builders: readonly PooledBuilder[]): number[] {
    return [...this.#needs.keys()].filter((kind) => buildersFor(builders, this.needsOf(kind)).length === 0);
  }

  get count(): number {
    return this.#needs.length;
  }
}

export interface SlotsInUse {
  readonly build: number;
  readonly fixedOutput: number;
}

/** What runs where, and what is free. */
export class BuilderLoad {
  readonly #pool: BuilderPool;
  readonly #taken = new Map<string, Record<SlotKind, number>>();

  constructor(pool: BuilderPool) {
    this.#pool = pool;
  }

  takenOf(name: string): SlotsInUse {
    return this.#taken.get(name) ?? { build: 0, fixedOutput: 0 };
  }

  take(name: string, slot: SlotKind): void {
    const taken = this.#taken.get(name) ?? { build: 0, fixedOutput: 0 };
    taken[slot]++;
    this.#taken.set(name, taken);
  }

  free(name: string, slot: SlotKind): void {
    const taken = this.#taken.get(name);
    if (taken === undefined) return;
    taken[slot]--;
    if (taken.build + taken.fixedOutput === 0) this.#taken.delete(name);
  }

  clear(): void {
    this.#taken.clear();
  }

  /** Kinds of builds that somebody who answers has a free slot for. */
  startable(kinds: NeedKinds): number[] {
    const open = this.#open();
    return Array.from({ length: kinds.count }, (_, kind) => kind).filter((kind) =>
      this.#candidates(open, kinds.needsOf(kind)).some(() => true),
    );
  }

  /**
   * Of those with a free slot the one with the most free of its slots for its speed; the local one where that is equal.
   * @param avoid names of builders that it was lost on: taken only where there is no other
   */
  choose(needs: PlacementNeeds, avoid: ReadonlySet<string>): PooledBuilder | null {
    const candidates = this.#candidates(this.#open(), needs);
    const elsewhere = candidates.filter(({ name }) => !avoid.has(name));
    let best: PooledBuilder | null = null;
    let bestScore = -1;
    for (const builder of elsewhere.length > 0 ? elsewhere : candidates) {
      const score = (builder.speed * this.#freeOf(builder, needs.slot)) / builder.slots[needs.slot];
      if (score > bestScore) [best, bestScore] = [builder, score];
    }
    return best;
  }

  #open(): readonly PooledBuilder[] {
    return this.#pool.builders();
  }

  #candidates(builders: readonly PooledBuilder[], needs: PlacementNeeds): readonly PooledBuilder[] {
    return buildersFor(builders, needs).filter(
      (builder) => this.#freeOf(builder, needs.slot) > 0 && this.#pool.outageOf(builder.name) === null,
    );
  }

  #freeOf({ name, slots }: PooledBuilder, slot: SlotKind): number {
    return slots[slot] - this.takenOf(name)[slot];
  }
}
