// Stage: `.drv` files of a jobset's closure → the graph in memory and rows in the database.
import type { DrvGraph, DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { Database } from '../database/database.ts';

export interface IngestDeps {
  /** The directory in store paths' names, where the files are. */
  readonly storeDir: string;
  readonly graph: DrvGraph;
  readonly database: Pick<Database, 'derivations'>;
}

/** Rows of one transaction. */
const batchSize = 2000;

const readNew = async (
  deps: IngestDeps,
  roots: Iterable<DrvPath>,
  signal: AbortSignal,
): Promise<Map<number, DrvNode>> => {
  const { storeDir, graph } = deps;
  const isKnown = (path: DrvPath): boolean => {
    const id = graph.find(path);
    return id !== undefined && graph.isComplete(id);
  };
  const fresh = new Map<number, DrvNode>();
  for await (const batch of readDerivationClosure({ storeDir, roots, isKnown })) {
    signal.throwIfAborted();
    for (const { node } of batch) fresh.set(graph.add(node), node);
  }
  return fresh;
};

/**
 * Adds everything `roots` need. What the graph has is not read again: derivations never change.
 * @throws DerivationFileError when a file is missing or broken; DatabaseError
 */
export const ingestClosure = async (
  deps: IngestDeps,
  roots: readonly DrvPath[],
  signal: AbortSignal,
): Promise<void> => {
  const { graph, database } = deps;
  const fresh = await readNew(deps, roots, signal);
  const ids = roots.flatMap((root) => graph.find(root) ?? []);
  // Inputs before what needs them: the database then meets no input that it does not know yet.
  const nodes = [...graph.closureOf(ids)].flatMap((id) => fresh.get(id) ?? []);
  for (let at = 0; at < nodes.length; at += batchSize) {
    signal.throwIfAborted();
    await database.derivations.save(nodes.slice(at, at + batchSize));
  }
};
