// Generated derivations with the degrees of real package sets, one after the other, so that a million fit nowhere at once.
//
// Measured on a real set of 13,000 derivations: 80 % fixed-output sources, out-degree mean 5.7, median 4, p90 6, p99 29,
// in-degree median 1 with a few that nearly all others need (a shell, a fetcher), chains of about 100.
import type { DrvNode } from '../drv-graph.ts';
import type { DrvPath } from '../ids.ts';

export interface RandomGraphOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Default `/nix/store`. */
  readonly storeDir?: string;
}

/** The first nodes: a chain of tools that everything after them needs. */
const HUBS = 10;
/** Of ten nodes in a row seven are sources, the last three are packages made of them. */
const DECADE = 10;
const SOURCES = 7;
const LAYERS = 90;
const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz';

/** A good spread of 32 bits from two numbers; the same ones always. */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const isPackage = (index: number): boolean => index >= HUBS && index % DECADE >= SOURCES;

/** Inputs before dependents. Equal options give equal nodes. @param nodes at least 1 */
export function* randomDrvNodes({
  nodes,
  seed,
  storeDir = '/nix/store',
}: RandomGraphOptions): Generator<DrvNode> {
  const names = new NodeNames(seed, storeDir);
  const edges = new EdgeChooser(seed);
  for (let index = 0; index < nodes; index++) {
    const fixedOutput = index >= HUBS && !isPackage(index);
    const chance = mix(seed, index ^ 0x5bd1e995) % 1000;
    const outputs = !fixedOutput && chance < 250 ? ['out', 'dev'] : ['out'];
    yield {
      path: names.drvPath(index),
      system: chance === 999 ? 'i686-linux' : chance === 998 ? 'builtin' : 'x86_64-linux',
      fixedOutput,
      preferLocalBuild: fixedOutput,
      allowSubstitutes: chance !== 997,
      requiredFeatures: chance < 5 ? ['big-parallel'] : [],
      outputs: outputs.map((name, nth) => ({ name, path: names.outputPath(index, name, nth) })),
      inputs: edges.inputsOf(index).map((input) => ({ path: names.drvPath(input), outputs: ['out'] })),
    };
  }
}

class NodeNames {
  readonly #seed: number;
  readonly #storeDir: string;
  readonly #codes: number[] = new Array<number>(32).fill(0);

  constructor(seed: number, storeDir: string) {
    this.#seed = seed;
    this.#storeDir = storeDir;
  }

  drvPath(index: number): DrvPath {
    return `${this.#storeDir}/${this.#hash(index * 4)}-${this.#name(index)}.drv` as DrvPath;
  }

  outputPath(index: number, output: string, nth: number): string {
    const end = output === 'out' ? '' : `-${output}`;
    return `${this.#storeDir}/${this.#hash(index * 4 + 1 + nth)}-${this.#name(index)}${end}`;
  }

  /** One name in four is shared with other nodes, as of packages at several commits. */
  #name(index: number): string {
    const shown = index % 4 === 0 ? index % 1000 : index;
    return isPackage(index) || index < HUBS ? `package-${shown}-1.${index % 50}` : `source-${shown}.tar.gz`;
  }

  #hash(number: number): string {
    for (let word = 0; word < 6; word++) {
      let bits = mix(this.#seed + word, number);
      for (let i = word * 6; i < Math.min(32, word * 6 + 6); i++) {
        this.#codes[i] = DIGITS.charCodeAt(bits & 31);
        bits >>>= 5;
      }
    }
    return String.fromCharCode(...this.#codes);
  }
}

class EdgeChooser {
  readonly #seed: number;
  /** The last package of each layer so far. */
  readonly #lastOfLayer: number[] = [];
  #draws = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  inputsOf(index: number): number[] {
    if (index < HUBS) return index === 0 ? [] : [index - 1];
    if (!isPackage(index)) return [0, 1, 2, 3 + (this.#draw() % 2)];
    return [...this.#packageInputs(index)];
  }

  #draw(): number {
    return mix(this.#seed ^ 0x2545f491, this.#draws++);
  }

  #layerOf(index: number): number {
    return mix(this.#seed ^ 0x6c62272e, index) % LAYERS;
  }

  /** Two tools, its sources, one package of the layer below (so that chains get long), and others of lower layers. */
  #packageInputs(index: number): Set<number> {
    const layer = this.#layerOf(index);
    const inputs = new Set([0, HUBS - 1]);
    const decade = index - (index % DECADE);
    for (let source = (index % DECADE) - SOURCES; source < SOURCES; source += DECADE - SOURCES) {
      if (decade + source >= HUBS) inputs.add(decade + source);
    }
    const below = this.#lastOfLayer[layer - 1];
    if (below !== undefined) inputs.add(below);
    for (let more = this.#extraInputs(); more > 0; more--) this.#addLower(inputs, { index, layer });
    this.#lastOfLayer[layer] = index;
    return inputs;
  }

  /** Mostly none; a tail that reaches hundreds. */
  #extraInputs(): number {
    const chance = this.#draw() % 1000;
    if (chance < 660) return chance % 2;
    if (chance < 955) return 4 + (this.#draw() % 14);
    return chance < 999 ? 22 + (this.#draw() % 20) : 200 + (this.#draw() % 200);
  }

  /** A package of a lower layer, early ones far more often: few are needed by many. */
  #addLower(inputs: Set<number>, { index, layer }: { index: number; layer: number }): void {
    for (let attempt = 0; attempt < 4; attempt++) {
      const skewed = (this.#draw() / 2 ** 32) ** 2;
      const decade = Math.floor((skewed * index) / DECADE) * DECADE;
      const candidate = decade + SOURCES + (this.#draw() % (DECADE - SOURCES));
      if (candidate < index && isPackage(candidate) && this.#layerOf(candidate) < layer) {
        inputs.add(candidate);
        return;
      }
    }
  }
}
