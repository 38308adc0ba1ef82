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

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= 4096 ? value : null;

const labelsOf = (value: unknown, names: readonly string[]): string[] =>
  (Array.isArray(value) ? value.slice(0, 200) : [value]).flatMap((one: unknown) => {
    const fields = fieldsOf(one);
    const candidates = fields === null ? [one] : names.map((name) => fields[name]);
    const label = candidates.map(textOf).find((text) => text !== null);
    return label === undefined || label === null ? [] : [label];
  });

const userIdsOf = (maintainers: readonly unknown[]): number[] =>
  maintainers.slice(0, 200).flatMap((one) => {
    const id = fieldsOf(one)?.['githubId'];
    return typeof id === 'number' && Number.isSafeInteger(id) && id > 0 ? [id] : [];
  });

const isUnfree = (license: unknown): boolean =>
  (Array.isArray(license) ? license : [license]).some((one) => fieldsOf(one)?.['free'] === false);

/** Cleans a `meta` that was printed whole as JSON (as nix-eval-jobs does). */
export const cleanMeta = (raw: unknown): PackageMeta => {
  const meta = fieldsOf(raw) ?? {};
  const vulnerabilities = meta['knownVulnerabilities'];
  return {
    pname: null,
    version: null,
    licenses: labelsOf(meta['license'], ['spdxId', 'shortName', 'fullName']),
    maintainers: Array.isArray(meta['maintainers'])
      ? labelsOf(meta['maintainers'], ['github', 'name', 'email'])
      : [],
    maintainerIds: Array.isArray(meta['maintainers']) ? userIdsOf(meta['maintainers']) : [],
    position: textOf(meta['position']),
    broken: meta['broken'] === true,
    insecure: meta['insecure'] === true || (Array.isArray(vulnerabilities) && vulnerabilities.length > 0),
    unfree: meta['unfree'] === true || isUnfree(meta['license']),
    unsupported: meta['unsupported'] === true,
  };
};
