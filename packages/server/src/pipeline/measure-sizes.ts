// Stage: outputs of both sides that are in the store → their sizes, by derivation.
import type { OutputSize, SizeLookup } from '@eka-ci/core/change-summary/sizes';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { isBuildRow, type RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { closureSizesOf, type StoreQueries } from '@eka-ci/nix/store-queries';

export interface MeasureRequest {
  readonly graph: DrvGraph;
  readonly plans: readonly RebuildPlan[];
}

const measuredDrvs = (plans: readonly RebuildPlan[]): Set<DrvPath> => {
  const drvs = new Set<DrvPath>();
  for (const row of plans.flatMap(({ rows }) => rows)) {
    if (!isBuildRow(row)) continue;
    drvs.add(row.judged.drvPath);
    if (row.base?.kind === 'derivation') drvs.add(row.base.drvPath);
  }
  return drvs;
};

const outputsOf = (graph: DrvGraph, drv: DrvPath): readonly { name: string; path: StorePath }[] => {
  const id = graph.find(drv);
  if (id === undefined) return [];
  // Paths of outputs come from parsed derivations of this store; those not known before the build are empty.
  return graph
    .outputsOf(id)
    .flatMap(({ name, path }) => (path === '' ? [] : [{ name, path: path as StorePath }]));
};

/**
 * Asks the store in a few batches, whatever the number of packages.
 * @throws StoreQueryError
 */
export const measureSizes = async (
  store: StoreQueries,
  { graph, plans }: MeasureRequest,
): Promise<SizeLookup> => {
  const drvs = measuredDrvs(plans);
  const paths = [...drvs].flatMap((drv) => outputsOf(graph, drv).map(({ path }) => path));
  const infos = await store.queryClosure(await store.queryValid(paths));
  const closures = closureSizesOf(paths, infos);
  const sizesOf = (drv: DrvPath): readonly OutputSize[] | null => {
    const sizes = outputsOf(graph, drv).flatMap(({ name, path }) => {
      const info = infos.get(path);
      if (info === undefined) return [];
      return [
        {
          output: name,
          narBytes: info.narSize,
          closureBytes: closures.get(path) ?? 0,
          references: info.references,
        },
      ];
    });
    return sizes.length === 0 ? null : sizes;
  };
  return { judged: sizesOf, base: sizesOf };
};
