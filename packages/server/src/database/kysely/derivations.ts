// Derivations: look-ups and the walk over what is stored. Saving is in save-derivations.ts.
import { numberTexts, type PackedNodes, type PackedRows, stage } from './packed-nodes.ts';
import { saveNodes } from './save-derivations.ts';
import { type Session, type SqlRow, selectIn } from './session.ts';
import { forEachInput, readIds } from './stored-inputs.ts';

export interface DerivationCalls {
  save(nodes: PackedNodes): Promise<void>;
  known(paths: readonly string[]): Promise<readonly string[]>;
  /** Ids of the roots and all they need, placeholders too, inputs first; unknown roots are left out. */
  closureIds(roots: readonly string[]): Promise<Float64Array>;
  /** In the order of `ids`. */
  rows(ids: Float64Array): Promise<PackedRows>;
  /** Those of `paths` that are stored, in no order; before them the paths of their inputs, as placeholders. */
  rowsWithInputs(paths: readonly string[]): Promise<PackedRows>;
  dependentsOf(path: string): Promise<readonly string[]>;
}

const idOf = async (session: Session, path: string): Promise<number | null> => {
  const [row] = await session.run('select id from derivations where path = $1', [path]);
  return row === undefined ? null : Number(row['id']);
};

const inputIdsOf = (row: SqlRow): number[] => {
  const ids: number[] = [];
  if (row['inputs'] instanceof Uint8Array) forEachInput(row['inputs'], (id) => ids.push(id));
  return ids;
};

const readInputsBelow = async (session: Session, roots: readonly number[]) => {
  const inputsOf = new Map<number, readonly number[]>();
  let frontier: readonly number[] = roots;
  while (frontier.length > 0) {
    for (const id of frontier) inputsOf.set(id, []);
    const next = new Set<number>();
    for (const row of await selectIn(
      session,
      'select id, inputs from derivations where id in ($list)',
      frontier,
    )) {
      const inputs = inputIdsOf(row);
      inputsOf.set(Number(row['id']), inputs);
      for (const input of inputs) if (!inputsOf.has(input)) next.add(input);
    }
    frontier = [...next];
  }
  return inputsOf;
};

/** Depth first without recursion: chains of a hundred thousand are legal. */
const orderInputsFirst = (
  roots: readonly number[],
  inputsOf: ReadonlyMap<number, readonly number[]>,
): Float64Array => {
  const order = new Float64Array(inputsOf.size);
  const entered = new Set<number>();
  let length = 0;
  const stack: { id: number; inputs: readonly number[]; next: number }[] = [];
  const enter = (id: number): void => {
    if (entered.has(id)) return;
    entered.add(id);
    stack.push({ id, inputs: inputsOf.get(id) ?? [], next: 0 });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const input = top.inputs[top.next++];
      if (input !== undefined) enter(input);
      else {
        order[length++] = top.id;
        stack.pop();
      }
    }
  }
  return order.subarray(0, length);
};

const joinBytes = (parts: readonly Uint8Array[]) => {
  const starts = new Uint32Array(parts.length + 1);
  parts.forEach((part, index) => {
    starts[index + 1] = (starts[index] ?? 0) + part.length;
  });
  const bytes = new Uint8Array(starts[parts.length] ?? 0);
  parts.forEach((part, index) => {
    bytes.set(part, starts[index]);
  });
  return { bytes, starts };
};

const noInputs = new Uint8Array();

const packRows = (rows: readonly SqlRow[]): PackedRows => {
  const systems = numberTexts();
  const inputs = joinBytes(
    rows.map((row) => (row['inputs'] instanceof Uint8Array ? row['inputs'] : noInputs)),
  );
  return {
    ids: Float64Array.from(rows, (row) => Number(row['id'])),
    complete: Uint8Array.from(rows, (row) => (row['stage'] === stage.named ? 0 : 1)),
    paths: rows.map((row) => row['path']).join('\n'),
    systemNumbers: Uint32Array.from(rows, (row) => systems.numberOf(String(row['system'] ?? ''))),
    systems: systems.texts(),
    flags: Uint8Array.from(rows, (row) => Number(row['flags'] ?? 0)),
    features: rows.map((row) => row['features'] ?? '[]').join('\n'),
    outputs: rows.map((row) => row['outputs'] ?? '[]').join('\n'),
    inputs: inputs.bytes,
    inputStarts: inputs.starts,
  };
};

const columns = 'id, path, stage, system, flags, features, outputs, inputs';

const readRows = async (session: Session, ids: readonly number[]): Promise<PackedRows> => {
  const rows = await selectIn(session, `select ${columns} from derivations where id in ($list)`, ids);
  const byId = new Map(rows.map((row) => [Number(row['id']), row]));
  return packRows(ids.map((id) => byId.get(id)).filter((row) => row !== undefined));
};

const dependentPaths = async (session: Session, path: string): Promise<readonly string[]> => {
  const id = await idOf(session, path);
  if (id === null) return [];
  const lists = await session.run(
    'select dependents from derivation_dependents where input_id = $1 order by first_dependent_id',
    [id],
  );
  const ids = lists.flatMap(({ dependents }) =>
    dependents instanceof Uint8Array ? readIds(dependents) : [],
  );
  const rows = await selectIn(session, 'select id, path from derivations where id in ($list)', ids);
  return [...rows].sort((a, b) => Number(a['id']) - Number(b['id'])).map((row) => String(row['path']));
};

export const derivationCalls = (session: Session): DerivationCalls => ({
  save: (nodes) => saveNodes(session, nodes),
  async known(paths) {
    const text = `select path from derivations where stage = ${stage.closed} and path in ($list)`;
    return (await selectIn(session, text, paths)).map((row) => String(row['path']));
  },
  async closureIds(roots) {
    const rows = await selectIn(session, 'select id from derivations where path in ($list)', roots);
    const ids = rows.map((row) => Number(row['id']));
    return orderInputsFirst(ids, await readInputsBelow(session, ids));
  },
  rows: (ids) => readRows(session, [...ids]),
  async rowsWithInputs(paths) {
    const text = `select ${columns} from derivations where stage <> ${stage.named} and path in ($list)`;
    const rows = await selectIn(session, text, paths);
    const inputs = [...new Set(rows.flatMap(inputIdsOf))];
    const named = `select id, path, ${stage.named} as stage from derivations where id in ($list)`;
    return packRows([...(await selectIn(session, named, inputs)), ...rows]);
  },
  dependentsOf: (path) => dependentPaths(session, path),
});
