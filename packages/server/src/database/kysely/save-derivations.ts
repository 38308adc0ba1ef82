// Saving derivations: gives numbers to new paths, writes each row once where it can, keeps reverse edges, and
// marks every derivation whose whole closure is stored.
import { type PackedNodes, stage } from './packed-nodes.ts';
import { insertRows, type Session, type SqlValue, selectIn, takeNumbers } from './session.ts';
import { forEachInput, NumberWriter, readIds } from './stored-inputs.ts';

const unknown = 255;

/** A batch against what is stored. Arrays are by index into `paths`; the first `nodeCount` are the nodes. */
interface Batch {
  readonly packed: PackedNodes;
  readonly paths: readonly string[];
  readonly nodeCount: number;
  readonly ids: Float64Array;
  /** As stored before; `unknown` where there was no row. */
  readonly stageBefore: Uint8Array;
  /** As it will be stored. */
  readonly stageAfter: Uint8Array;
}

const isNew = (batch: Batch, node: number): boolean =>
  batch.stageBefore[node] === unknown || batch.stageBefore[node] === stage.named;

const readBatch = async (session: Session, packed: PackedNodes): Promise<Batch> => {
  const paths = packed.paths === '' ? [] : packed.paths.split('\n');
  const ids = new Float64Array(paths.length);
  const stageBefore = new Uint8Array(paths.length).fill(unknown);
  // The lock comes before the look-up: no other server may add one of these paths in between.
  await takeNumbers(session, 'derivation', 0);
  const indexOf = new Map(paths.map((path, index) => [path, index]));
  const text = 'select id, path, stage from derivations where path in ($list)';
  for (const row of await selectIn(session, text, paths)) {
    const index = indexOf.get(String(row['path']));
    if (index === undefined) continue;
    ids[index] = Number(row['id']);
    stageBefore[index] = Number(row['stage']);
  }
  const missing = stageBefore.reduce((sum, value) => (value === unknown ? sum + 1 : sum), 0);
  let next = missing === 0 ? 0 : await takeNumbers(session, 'derivation', missing);
  for (let index = 0; index < ids.length; index++) if (stageBefore[index] === unknown) ids[index] = next++;
  const nodeCount = packed.flags.length;
  return { packed, paths, nodeCount, ids, stageBefore, stageAfter: stageBefore.slice() };
};

/** The new nodes that need each path, each once: those of path `p` lie from `starts[p]` to `starts[p + 1]`. */
const reverseEdges = (batch: Batch): { starts: Uint32Array; dependents: Uint32Array } => {
  const { inputStarts, inputs } = batch.packed;
  const starts = new Uint32Array(batch.paths.length + 1);
  const forEachEdge = (visit: (input: number, node: number) => void): void => {
    for (let node = 0; node < batch.nodeCount; node++) {
      if (!isNew(batch, node)) continue;
      const end = inputStarts[node + 1] ?? 0;
      for (let edge = inputStarts[node] ?? 0; edge < end; edge++) visit(inputs[edge] ?? 0, node);
    }
  };
  forEachEdge((input) => {
    starts[input + 1] = (starts[input + 1] ?? 0) + 1;
  });
  for (let p = 0; p < batch.paths.length; p++) starts[p + 1] = (starts[p + 1] ?? 0) + (starts[p] ?? 0);
  const fill = starts.slice();
  const dependents = new Uint32Array(starts[batch.paths.length] ?? 0);
  forEachEdge((input, node) => {
    const at = fill[input] ?? 0;
    dependents[at] = node;
    fill[input] = at + 1;
  });
  return { starts, dependents };
};

/** Decides `stageAfter` as far as this batch can tell; what stored dependents gain by it comes later. */
const settleStages = (batch: Batch, { starts, dependents }: ReturnType<typeof reverseEdges>): void => {
  const { stageBefore, stageAfter, nodeCount } = batch;
  const open = new Uint32Array(nodeCount);
  const closed: number[] = [];
  for (let index = 0; index < stageAfter.length; index++) {
    if (stageBefore[index] === unknown) stageAfter[index] = stage.named;
    if (stageBefore[index] === stage.closed) closed.push(index);
  }
  for (let node = 0; node < nodeCount; node++) {
    if (!isNew(batch, node)) continue;
    stageAfter[node] = stage.stored;
    open[node] = (batch.packed.inputStarts[node + 1] ?? 0) - (batch.packed.inputStarts[node] ?? 0);
    if (open[node] === 0) closed.push(node);
  }
  for (let index = closed.pop(); index !== undefined; index = closed.pop()) {
    stageAfter[index] = stage.closed;
    for (let at = starts[index] ?? 0; at < (starts[index + 1] ?? 0); at++) {
      const node = dependents[at] ?? 0;
      open[node] = (open[node] ?? 0) - 1;
      if (open[node] === 0) closed.push(node);
    }
  }
};

const columns = ['id', 'path', 'stage', 'system', 'flags', 'features', 'outputs', 'inputs'] as const;

const encodeInputs = (batch: Batch, node: number, writer: NumberWriter): Uint8Array => {
  const { inputStarts, inputs, inputSelections, selections } = batch.packed;
  for (let edge = inputStarts[node] ?? 0; edge < (inputStarts[node + 1] ?? 0); edge++) {
    writer.input({
      id: batch.ids[inputs[edge] ?? 0] ?? 0,
      outputs: selections[inputSelections[edge] ?? 0] ?? '',
    });
  }
  return writer.take();
};

const writeRows = async (session: Session, batch: Batch): Promise<void> => {
  const { packed, paths, ids, stageBefore, stageAfter, nodeCount } = batch;
  const features = packed.features.split('\n');
  const outputs = packed.outputs.split('\n');
  const writer = new NumberWriter();
  const inserted: SqlValue[][] = [];
  const completed: SqlValue[][] = [];
  for (let index = 0; index < paths.length; index++) {
    const own = [ids[index] ?? 0, paths[index] ?? '', stageAfter[index] ?? 0];
    if (index >= nodeCount) {
      if (stageBefore[index] === unknown) inserted.push([...own, null, null, null, null, null]);
      continue;
    }
    if (!isNew(batch, index)) continue;
    const row = [
      ...own,
      packed.systems[packed.systemNumbers[index] ?? 0] ?? '',
      packed.flags[index] ?? 0,
      features[index] ?? '[]',
      outputs[index] ?? '[]',
      encodeInputs(batch, index, writer),
    ];
    (stageBefore[index] === unknown ? inserted : completed).push(row);
  }
  await insertRows(session, { table: 'derivations', columns }, inserted);
  for (const [id, , ...values] of completed) {
    await session.run(
      'update derivations set stage = $1, system = $2, flags = $3, features = $4, outputs = $5, inputs = $6 where id = $7',
      [...values, id ?? 0],
    );
  }
};

const writeDependents = async (
  session: Session,
  batch: Batch,
  { starts, dependents }: ReturnType<typeof reverseEdges>,
): Promise<void> => {
  const writer = new NumberWriter();
  const rows: [number, number, Uint8Array][] = [];
  for (let path = 0; path < batch.paths.length; path++) {
    const end = starts[path + 1] ?? 0;
    const start = starts[path] ?? 0;
    if (start === end) continue;
    let previous = -1;
    for (let at = start; at < end; at++) {
      const node = dependents[at] ?? 0;
      if (node !== previous) writer.number(batch.ids[node] ?? 0);
      previous = node;
    }
    rows.push([batch.ids[path] ?? 0, batch.ids[dependents[start] ?? 0] ?? 0, writer.take()]);
  }
  rows.sort(([a], [b]) => a - b);
  const target = {
    table: 'derivation_dependents',
    columns: ['input_id', 'first_dependent_id', 'dependents'],
  } as const;
  await insertRows(session, target, rows);
};

/** Of these stored derivations, those that are not closed although all their inputs are. */
const closable = async (session: Session, candidates: readonly number[]): Promise<number[]> => {
  const text = `select id, inputs from derivations where stage = ${stage.stored} and id in ($list)`;
  const inputsOf = new Map<number, number[]>();
  for (const row of await selectIn(session, text, candidates)) {
    const inputs: number[] = [];
    if (row['inputs'] instanceof Uint8Array) forEachInput(row['inputs'], (id) => inputs.push(id));
    inputsOf.set(Number(row['id']), inputs);
  }
  const needed = [...new Set([...inputsOf.values()].flat())];
  const openText = `select id from derivations where stage <> ${stage.closed} and id in ($list)`;
  const open = new Set((await selectIn(session, openText, needed)).map((row) => Number(row['id'])));
  return [...inputsOf].filter(([, inputs]) => !inputs.some((id) => open.has(id))).map(([id]) => id);
};

/** Goes up from placeholders that this batch closed, through what was stored before with them missing. */
const closeStoredDependents = async (session: Session, batch: Batch): Promise<void> => {
  let closed: number[] = [];
  for (let node = 0; node < batch.nodeCount; node++) {
    if (batch.stageBefore[node] === stage.named && batch.stageAfter[node] === stage.closed) {
      closed.push(batch.ids[node] ?? 0);
    }
  }
  while (closed.length > 0) {
    const text = 'select dependents from derivation_dependents where input_id in ($list)';
    const lists = await selectIn(session, text, closed);
    const dependents = new Set(
      lists.flatMap((row) => (row['dependents'] instanceof Uint8Array ? readIds(row['dependents']) : [])),
    );
    closed = await closable(session, [...dependents]);
    for (const id of closed) {
      await session.run(`update derivations set stage = ${stage.closed} where id = $1`, [id]);
    }
  }
};

export const saveNodes = async (session: Session, packed: PackedNodes): Promise<void> => {
  const batch = await readBatch(session, packed);
  const edges = reverseEdges(batch);
  settleStages(batch, edges);
  await writeRows(session, batch);
  await writeDependents(session, batch, edges);
  await closeStoredDependents(session, batch);
};
