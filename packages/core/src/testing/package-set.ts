// A package set in a few words: paths follow from contents as in Nix, so that editing it has the effects it would have.
import { DrvGraph } from '../drv-graph.ts';
import type {
  EvaluatedAttr,
  EvaluationFailureKind,
  EvaluationRecord,
  Jobset,
  PackageMeta,
} from '../evaluation.ts';
import type { DrvPath } from '../ids.ts';

/** One package, found as an attribute under its key unless `hidden`. */
export interface PackageSpec {
  readonly version?: string;
  /** Keys of other packages of the set. */
  readonly inputs?: readonly string[];
  /** Anything else that the build depends on. */
  readonly recipe?: string;
  /** Fixed-output: the outputs follow from this alone. */
  readonly hash?: string;
  readonly hidden?: boolean;
  readonly system?: string;
  /** Other attributes of the same derivation. */
  readonly aliases?: readonly string[];
  /** Floating content-addressed: output paths are not known. */
  readonly floating?: boolean;
  readonly pname?: string;
  readonly licenses?: readonly string[];
  readonly maintainers?: readonly string[];
  readonly maintainerIds?: readonly number[];
  readonly position?: string;
  /** No meta at all. */
  readonly metaless?: boolean;
  readonly failing?: string;
  /** @default throw */
  readonly failingKind?: EvaluationFailureKind;
  readonly broken?: boolean;
  /** Its meta says so; `refused`: and therefore it does not evaluate. */
  readonly unfree?: 'allowed' | 'refused';
}

export type PackageSet = Readonly<Record<string, PackageSpec>>;

const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz';

/** 32 characters of the store's alphabet from any text: nothing like Nix's hash, but as good for telling things apart. */
const hash = (text: string): string => {
  let result = '';
  for (let word = 0; word < 8; word++) {
    let state = 0x811c9dc5 ^ Math.imul(word + 1, 0x9e3779b9);
    for (let index = 0; index < text.length; index++)
      state = Math.imul(state ^ text.charCodeAt(index), 0x01000193);
    for (let digit = 0; digit < 4; digit++) result += DIGITS[(state >>> (digit * 5 + 3)) & 31] ?? '0';
  }
  return result;
};

interface Built {
  readonly drvPath: DrvPath;
  readonly name: string;
  readonly output: string;
}

const buildInto = (graph: DrvGraph, set: PackageSet): Map<string, Built> => {
  const built = new Map<string, Built>();
  const build = (key: string): Built => {
    const known = built.get(key);
    if (known !== undefined) return known;
    const spec = set[key] ?? {};
    const inputs = (spec.inputs ?? []).map(build);
    const name = `${spec.pname ?? key}${spec.version === undefined ? '' : `-${spec.version}`}`;
    const recipe = `${name} ${spec.recipe ?? ''} ${spec.system ?? ''}`;
    const drv = hash(`drv ${recipe} ${spec.hash ?? ''} ${inputs.map((input) => input.drvPath).join()}`);
    const content =
      spec.hash === undefined ? `${recipe} ${inputs.map((input) => input.output).join()}` : spec.hash;
    const isKnown = spec.floating !== true && inputs.every((input) => input.output !== '');
    const output = isKnown || spec.hash !== undefined ? `/nix/store/${hash(`out ${content}`)}-${name}` : '';
    // Only the edge parser makes such paths; a test's package set is one.
    const drvPath = `/nix/store/${drv}-${name}.drv` as DrvPath;
    const result = { drvPath, name, output };
    built.set(key, result);
    graph.add({
      path: drvPath,
      system: spec.system ?? 'x86_64-linux',
      fixedOutput: spec.hash !== undefined,
      preferLocalBuild: false,
      allowSubstitutes: true,
      requiredFeatures: [],
      outputs: [{ name: 'out', path: output }],
      inputs: inputs.map((input) => ({ path: input.drvPath, outputs: ['out'] })),
    });
    return result;
  };
  for (const key of Object.keys(set)) build(key);
  return built;
};

const metaOf = (key: string, spec: PackageSpec): PackageMeta => ({
  pname: spec.pname ?? key,
  version: spec.version ?? null,
  licenses: spec.licenses ?? [],
  maintainers: spec.maintainers ?? [],
  maintainerIds: spec.maintainerIds ?? [],
  position: spec.position ?? null,
  broken: spec.broken ?? false,
  insecure: false,
  unfree: spec.unfree !== undefined,
  unsupported: false,
});

const recordOf = (attr: string, spec: PackageSpec, made: { key: string; built: Built }): EvaluationRecord => {
  const identity = { attr, attrPath: [attr] };
  if (spec.failing !== undefined) {
    return {
      ...identity,
      kind: 'failed',
      failure: { kind: spec.failingKind ?? 'throw', message: spec.failing, position: null },
    };
  }
  const meta = metaOf(made.key, spec);
  if (spec.broken === true) return { ...identity, kind: 'unavailable', reasons: ['broken'], meta };
  if (spec.unfree === 'refused') return { ...identity, kind: 'unavailable', reasons: ['unfree'], meta };
  const { drvPath, name, output } = made.built;
  const evaluated: EvaluatedAttr = {
    ...identity,
    kind: 'derivation',
    name,
    system: spec.system ?? 'x86_64-linux',
    drvPath,
    outputs: { out: output === '' ? null : output },
    meta: spec.metaless === true ? null : meta,
    metaError: null,
  };
  return evaluated;
};

const toJobset = (set: PackageSet, built: ReadonlyMap<string, Built>): Jobset => {
  const records: EvaluationRecord[] = [];
  for (const [key, spec] of Object.entries(set)) {
    const made = built.get(key);
    if (made === undefined || spec.hidden === true) continue;
    for (const attr of [key, ...(spec.aliases ?? [])])
      records.push(recordOf(attr, spec, { key, built: made }));
  }
  records.sort((a, b) => (a.attr < b.attr ? -1 : 1));
  return { job: 'packages', records };
};

export interface EvaluatedSets {
  readonly base: Jobset;
  readonly judged: Jobset;
  readonly graph: DrvGraph;
  /** The derivation of a key of the judged set. */
  readonly judgedDrv: (key: string) => DrvPath;
  readonly baseDrv: (key: string) => DrvPath;
}

const lookUp =
  (built: ReadonlyMap<string, Built>) =>
  (key: string): DrvPath => {
    const found = built.get(key);
    if (found === undefined) throw new Error(`the set has no ${key}`);
    return found.drvPath;
  };

/** Both sides evaluated, in one graph. */
export const evaluateSets = (base: PackageSet, judged: PackageSet): EvaluatedSets => {
  const graph = new DrvGraph();
  const [baseBuilt, judgedBuilt] = [buildInto(graph, base), buildInto(graph, judged)];
  return {
    base: toJobset(base, baseBuilt),
    judged: toJobset(judged, judgedBuilt),
    graph,
    judgedDrv: lookUp(judgedBuilt),
    baseDrv: lookUp(baseBuilt),
  };
};

/** Nix's rules, near enough for tests that do not test them. */
export const testNameRules = {
  splitName: (name: string) => {
    const dash = name.search(/-[^a-zA-Z]/);
    return dash === -1
      ? { pname: name, version: null }
      : { pname: name.slice(0, dash), version: name.slice(dash + 1) };
  },
  compareVersions: (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true }),
};
