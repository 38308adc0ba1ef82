// What `graph` is measured against: the graph as one would write it first, an object a node with Maps and Sets.
import type { DrvNode } from '@eka-ci/core/drv-graph';

export interface NaiveNode {
  readonly path: string;
  readonly name: string;
  readonly system: string;
  readonly fixedOutput: boolean;
  readonly preferLocalBuild: boolean;
  readonly allowSubstitutes: boolean;
  readonly requiredFeatures: readonly string[];
  /** Output name to path. */
  readonly outputs: Map<string, string>;
  /** Input to the names of the outputs used, as in Nix's own `inputDrvs`, a map of sets. */
  readonly inputs: Map<NaiveNode, Iterable<string>>;
  readonly dependents: Set<NaiveNode>;
  state: 'waiting' | 'succeeded' | 'failed' | 'dependency-failed';
  pending: number;
  culprit: NaiveNode | null;
}

export class NaiveGraph {
  readonly nodes = new Map<string, NaiveNode>();
  readonly #lean: boolean;

  /** @param lean keeps the used outputs as the arrays they came in, not as Sets. */
  constructor(lean: boolean) {
    this.#lean = lean;
  }

  /** Inputs come before their dependents. */
  add({ path, inputs, outputs, ...facts }: DrvNode): void {
    const node: NaiveNode = {
      ...facts,
      path,
      name: path.slice(path.lastIndexOf('/') + 34, -4),
      outputs: new Map(outputs.map((output) => [output.name, output.path])),
      inputs: new Map(),
      dependents: new Set(),
      state: 'waiting',
      pending: inputs.length,
      culprit: null,
    };
    this.nodes.set(path, node);
    for (const input of inputs) {
      const found = this.nodes.get(input.path);
      if (found === undefined) throw new Error(`${input.path} must be added before ${path}`);
      node.inputs.set(found, this.#lean ? input.outputs : new Set(input.outputs));
      found.dependents.add(node);
    }
  }

  settleSucceeded(node: NaiveNode): NaiveNode[] {
    node.state = 'succeeded';
    return [...node.dependents].filter(
      (dependent) => --dependent.pending === 0 && dependent.state === 'waiting',
    );
  }

  settleFailed(node: NaiveNode): NaiveNode[] {
    node.state = 'failed';
    const failed: NaiveNode[] = [];
    for (let next: NaiveNode | undefined = node, read = 0; next !== undefined; next = failed[read++]) {
      for (const dependent of next.dependents) {
        if (dependent.state !== 'waiting') continue;
        dependent.state = 'dependency-failed';
        dependent.culprit = node;
        failed.push(dependent);
      }
    }
    return failed;
  }

  blastRadius(node: NaiveNode): number {
    const found = new Set(node.dependents);
    for (const above of found) for (const dependent of above.dependents) found.add(dependent);
    return found.size;
  }
}
