// Derivations on their way between threads: a few long strings and typed arrays instead of 100,000 objects,
// which structured clone would take longer over than the database does.
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { forEachInput } from './stored-inputs.ts';

/** How much is stored of a derivation: only its path; itself; itself and all it needs. */
export const stage = { named: 0, stored: 1, closed: 2 } as const;

/** Bits of `flags`. */
export const flag = { fixedOutput: 1, preferLocalBuild: 2, allowSubstitutes: 4 } as const;

/** A batch to save. Lists of strings are joined by line feeds, which store paths and JSON text never hold. */
export interface PackedNodes {
  /** Distinct; those of the nodes come first, in their order, then inputs that are not among the nodes. */
  readonly paths: string;
  /** Distinct; a system is any text, line feeds too, for the package set's author chooses it. */
  readonly systems: readonly string[];
  /** Index into `systems`. This and all below: one a node, in the order of the nodes. */
  readonly systemNumbers: Uint32Array;
  readonly flags: Uint8Array;
  /** JSON: names. */
  readonly features: string;
  /** JSON: name, path, name, path, … */
  readonly outputs: string;
  /** Where a node's inputs begin in the next two; one more at the end. */
  readonly inputStarts: Uint32Array;
  /** Index into `paths`. */
  readonly inputs: Uint32Array;
  /** Index into `selections`. */
  readonly inputSelections: Uint32Array;
  /** Distinct lists of output names, each joined by NUL. */
  readonly selections: readonly string[];
}

const flagsOf = (node: DrvNode): number =>
  (node.fixedOutput ? flag.fixedOutput : 0) |
  (node.preferLocalBuild ? flag.preferLocalBuild : 0) |
  (node.allowSubstitutes ? flag.allowSubstitutes : 0);

const featuresText = (features: readonly string[]): string =>
  features.length === 0 ? '[]' : JSON.stringify(features);

/** Gives each distinct text a number, counted from 0. */
export const numberTexts = () => {
  const numbers = new Map<string, number>();
  const numberOf = (text: string): number => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size);
    return numbers.size - 1;
  };
  return { numberOf, texts: (): string[] => [...numbers.keys()] };
};

const packInputs = (nodes: readonly DrvNode[], numberOf: (path: string) => number) => {
  const count = nodes.reduce((sum, node) => sum + node.inputs.length, 0);
  const inputStarts = new Uint32Array(nodes.length + 1);
  const inputs = new Uint32Array(count);
  const inputSelections = new Uint32Array(count);
  const selections = numberTexts();
  let at = 0;
  nodes.forEach((node, index) => {
    inputStarts[index] = at;
    for (const input of node.inputs) {
      inputs[at] = numberOf(input.path);
      const names = input.outputs;
      inputSelections[at] = selections.numberOf(names.length === 1 ? (names[0] ?? '') : names.join('\0'));
      at++;
    }
  });
  inputStarts[nodes.length] = at;
  return { inputStarts, inputs, inputSelections, selections: selections.texts() };
};

/** Packs nodes; of several with the same path the first counts. */
export const packNodes = (given: readonly DrvNode[]): PackedNodes => {
  const { numberOf, texts } = numberTexts();
  const nodes: DrvNode[] = [];
  for (const node of given) if (numberOf(node.path) === nodes.length) nodes.push(node);
  const systems = numberTexts();
  return {
    systemNumbers: Uint32Array.from(nodes, (node) => systems.numberOf(node.system)),
    systems: systems.texts(),
    flags: Uint8Array.from(nodes, flagsOf),
    features: nodes.map((node) => featuresText(node.requiredFeatures)).join('\n'),
    outputs: nodes
      .map((node) => JSON.stringify(node.outputs.flatMap((output) => [output.name, output.path])))
      .join('\n'),
    ...packInputs(nodes, numberOf),
    paths: texts().join('\n'),
  };
};

/** Rows as they are stored, placeholders among them, on the way back. */
export interface PackedRows {
  readonly ids: Float64Array;
  /** 1 for a derivation, 0 for a placeholder, which has only a path and empty texts. */
  readonly complete: Uint8Array;
  readonly paths: string;
  readonly systems: readonly string[];
  readonly systemNumbers: Uint32Array;
  readonly flags: Uint8Array;
  readonly features: string;
  readonly outputs: string;
  /** The column of stored-inputs.ts of all rows, one after the other, and where each begins. */
  readonly inputs: Uint8Array;
  readonly inputStarts: Uint32Array;
}

/** Makes each list once: a hundred thousand nodes share a few. */
const createListCache = (parse: (text: string) => readonly string[]) => {
  const lists = new Map<string, readonly string[]>();
  return (text: string): readonly string[] => {
    const known = lists.get(text);
    if (known !== undefined) return known;
    const made = parse(text);
    lists.set(text, made);
    return made;
  };
};

/** Turns rows into nodes. It remembers every path it saw: inputs must come before their dependents. */
export const createRowReader = () => {
  const pathOf = new Map<number, DrvPath>();
  const selectionOf = createListCache((text) => (text === '' ? [] : text.split('\0')));
  const featuresOf = createListCache(parseTexts);

  const readInputs = (bytes: Uint8Array): DrvNode['inputs'] => {
    const inputs: { path: DrvPath; outputs: readonly string[] }[] = [];
    forEachInput(bytes, (id, outputs) => {
      const path = pathOf.get(id);
      if (path !== undefined) inputs.push({ path, outputs: selectionOf(outputs) });
    });
    return inputs;
  };

  /** The nodes among these rows, in their order. */
  const read = (rows: PackedRows): DrvNode[] => {
    if (rows.ids.length === 0) return [];
    const features = rows.features.split('\n');
    const outputs = rows.outputs.split('\n');
    const nodes: DrvNode[] = [];
    for (const [row, text] of rows.paths.split('\n').entries()) {
      const path = text as DrvPath; // It was one when it was saved.
      pathOf.set(rows.ids[row] ?? 0, path);
      if (rows.complete[row] === 0) continue;
      const flags = rows.flags[row] ?? 0;
      nodes.push({
        path,
        system: rows.systems[rows.systemNumbers[row] ?? 0] ?? '',
        fixedOutput: (flags & flag.fixedOutput) !== 0,
        preferLocalBuild: (flags & flag.preferLocalBuild) !== 0,
        allowSubstitutes: (flags & flag.allowSubstitutes) !== 0,
        requiredFeatures: featuresOf(features[row] ?? '[]'),
        outputs: readOutputs(outputs[row] ?? '[]'),
        inputs: readInputs(rows.inputs.subarray(rows.inputStarts[row], rows.inputStarts[row + 1])),
      });
    }
    return nodes;
  };
  return { read };
};

const parseTexts = (json: string): string[] => {
  const parsed: unknown = JSON.parse(json);
  return Array.isArray(parsed) ? parsed.map(String) : [];
};

const readOutputs = (json: string): DrvNode['outputs'] => {
  const flat = parseTexts(json);
  const outputs: { name: string; path: string }[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    outputs.push({ name: flat[at] ?? '', path: flat[at + 1] ?? '' });
  }
  return outputs;
};
