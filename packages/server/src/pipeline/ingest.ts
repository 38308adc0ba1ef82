// Stage: `.drv` files of a jobset's closure → the graph in memory and rows in the database.
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { Database } from '../database/database.ts';

export interface IngestDeps {
  /** The directory in store paths' names, where the files are. */
  readonly storeDir: string;
  readonly graph: DrvGraph;
  readonly database: Pick<Database, 'derivations'>;
}

/**
 * Adds everything `roots` need. What the graph has is not read again: derivations never change.
 * @throws DerivationFileError when a file is missing or broken; DatabaseError
 */
export const ingestClosure = async (
  { storeDir, graph, database }: IngestDeps,
  roots: Iterable<DrvPath>,
  signal: AbortSignal,
): Promise<void> => {
  const isKnown = (path: DrvPath): boolean => {
    const id = graph.find(path);
    return id !== undefined && graph.isComplete(id);
  };
  for await (const batch of readDerivationClosure({ storeDir, roots, isKnown })) {
    signal.throwIfAborted();
    const nodes = batch.map(({ node }) => node);
    for (const node of nodes) graph.add(node);
    await database.derivations.save(nodes);
  }
};
