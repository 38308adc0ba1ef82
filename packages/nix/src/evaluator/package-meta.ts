// A package's `meta` as any evaluator gives it, cleaned: a field of another type than it should have is absent.
import type { PackageMeta, UnavailableReason } from '@eka-ci/core/evaluation';
import { splitDrvName } from '../drv-name.ts';
import { relativeToTree, type SourceRoots } from './failure.ts';

const repositoryPosition = (position: string | null, roots: SourceRoots): string | null => {
  if (position === null) return null;
  return relativeToTree(position, roots) ?? position;
};

/** Fills in from the derivation's name what the package does not say, and makes its position relative. */
export const completeMeta = (stated: PackageMeta, name: string | null, roots: SourceRoots): PackageMeta => {
  const split = name === null ? null : splitDrvName(name);
  return {
    ...stated,
    pname: stated.pname ?? split?.pname ?? null,
    version: stated.version ?? split?.version ?? null,
    position: repositoryPosition(stated.position, roots),
  };
};

/** Why the package refuses, as far as its meta says so. */
export const refusalReasons = (meta: PackageMeta): UnavailableReason[] => {
  const reasons: UnavailableReason[] = [];
  if (meta.broken) reasons.push('broken');
  if (meta.insecure) reasons.push('insecure');
  if (meta.unfree) reasons.push('unfree');
  if (meta.unsupported) reasons.push('unsupported');
  return reasons;
};
