// The classifier: what a change means for each package, by attribute path.
import type {
  EvaluationFailure,
  EvaluationRecord,
  FailedAttr,
  PackageMeta,
  UnavailableAttr,
  UnavailableReason,
} from './evaluation.ts';
import type { ChangedRow, PlanRow, RebuildPlan } from './rebuild-plan.ts';

export interface PackageName {
  readonly pname: string;
  readonly version: string | null;
}

/** Nix's own rules, given by who knows them: this package knows nothing of Nix. */
export interface NameRules {
  /** Splits a derivation's name where the version begins. */
  readonly splitName: (name: string) => PackageName;
  /** Negative where `a` is the lower version. */
  readonly compareVersions: (a: string, b: string) => number;
}

export type PrimaryChange =
  | {
      readonly kind: 'Added';
      readonly version: string | null;
      /** What the base had at the attribute in place of a derivation. */
      readonly previously: 'absent' | 'unevaluable' | 'unavailable';
    }
  | { readonly kind: 'Removed'; readonly version: string | null }
  | {
      readonly kind: 'VersionBump';
      /** Null where a side has no version. */
      readonly old: string | null;
      readonly new: string | null;
      readonly downgrade: boolean;
    }
  | { readonly kind: 'Renamed'; readonly old: PackageName; readonly new: PackageName }
  | { readonly kind: 'RebuildOnly'; readonly version: string | null }
  | { readonly kind: 'Unevaluable'; readonly failure: EvaluationFailure }
  | { readonly kind: 'Unavailable'; readonly reasons: readonly UnavailableReason[] };

export type SecondaryChange =
  | { readonly kind: 'LicenseChange'; readonly old: readonly string[]; readonly new: readonly string[] }
  | {
      readonly kind: 'MaintainerChange';
      readonly added: readonly string[];
      readonly removed: readonly string[];
    };

export type PackageChangeKind = PrimaryChange['kind'] | SecondaryChange['kind'];

/** One package that the change does something to; what stays as it was has none. */
export interface PackageChange {
  /** The first of its attributes in code-unit order. */
  readonly attr: string;
  /** Other attributes of the same derivation, in that order. */
  readonly aliases: readonly string[];
  /** Null where no side says: an attribute that fails to evaluate. */
  readonly pname: string | null;
  readonly system: string | null;
  /** Of the judged tree; null where it has none. */
  readonly drvPath: string | null;
  /** Null where only what the package says of itself changed. */
  readonly primary: PrimaryChange | null;
  /** At most one of a kind: licence before maintainers. */
  readonly secondary: readonly SecondaryChange[];
}

const metaOf = (record: EvaluationRecord | null): PackageMeta | null =>
  record === null || record.kind === 'failed' ? null : record.meta;

const versionAfter = (pname: string, name: string, { splitName }: NameRules): string | null => {
  if (name === pname) return null;
  if (name.startsWith(`${pname}-`)) return name.slice(pname.length + 1);
  return splitName(name).version;
};

/** @param trustMeta false: by the derivation's name alone, as long as it has one */
const nameOf = (record: EvaluationRecord, rules: NameRules, trustMeta: boolean): PackageName | null => {
  const meta = metaOf(record);
  const name = record.kind === 'derivation' ? record.name : null;
  const pname = meta?.pname ?? null;
  if (name !== null && (!trustMeta || pname === null)) {
    const split = rules.splitName(name);
    return { pname: split.pname, version: (trustMeta ? meta?.version : null) ?? split.version };
  }
  if (pname === null) return null;
  return { pname, version: meta?.version ?? (name === null ? null : versionAfter(pname, name, rules)) };
};

const classifyChanged = (row: ChangedRow, rules: NameRules): PrimaryChange => {
  // Two sources of a name would differ by themselves (`python3.11-foo` and `foo`): take one for both sides.
  const trustMeta = (row.base.meta?.pname ?? null) !== null && (row.judged.meta?.pname ?? null) !== null;
  const before = nameOf(row.base, rules, trustMeta);
  const after = nameOf(row.judged, rules, trustMeta);
  if (before === null || after === null) return { kind: 'RebuildOnly', version: null };
  if (before.pname !== after.pname) return { kind: 'Renamed', old: before, new: after };
  if (before.version === after.version) return { kind: 'RebuildOnly', version: after.version };
  const downgrade =
    before.version !== null &&
    after.version !== null &&
    rules.compareVersions(after.version, before.version) < 0;
  return { kind: 'VersionBump', old: before.version, new: after.version, downgrade };
};

const previously = (base: FailedAttr | UnavailableAttr | null): 'absent' | 'unevaluable' | 'unavailable' => {
  if (base === null) return 'absent';
  return base.kind === 'failed' ? 'unevaluable' : 'unavailable';
};

const classifyPrimary = (row: PlanRow, rules: NameRules): PrimaryChange | null => {
  switch (row.change) {
    case 'added':
      return {
        kind: 'Added',
        version: nameOf(row.judged, rules, true)?.version ?? null,
        previously: previously(row.base),
      };
    case 'removed':
      return { kind: 'Removed', version: nameOf(row.base, rules, true)?.version ?? null };
    case 'changed':
      return classifyChanged(row, rules);
    case 'unchanged':
      return null;
    case 'unevaluable':
      return row.newly ? { kind: 'Unevaluable', failure: row.judged.failure } : null;
    case 'unavailable':
      return row.newly ? { kind: 'Unavailable', reasons: row.judged.reasons } : null;
  }
};

const difference = (from: readonly string[], other: readonly string[]): readonly string[] =>
  [...new Set(from)].filter((item) => !other.includes(item));

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((item, index) => item === b[index]));

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  isSameList(a, b) || (difference(a, b).length === 0 && difference(b, a).length === 0);

const none: readonly SecondaryChange[] = [];

/** Only between two sides that both say something of themselves: meta that could not be read proves nothing. */
const classifySecondary = (row: PlanRow): readonly SecondaryChange[] => {
  const before = metaOf(row.base);
  const after = metaOf(row.judged);
  if (before === null || after === null || before === after) return none;
  const isSameLicense = isSameSet(before.licenses, after.licenses);
  const areSameMaintainers = isSameSet(before.maintainers, after.maintainers);
  if (isSameLicense && areSameMaintainers) return none;
  const changes: SecondaryChange[] = [];
  if (!isSameLicense) changes.push({ kind: 'LicenseChange', old: before.licenses, new: after.licenses });
  if (!areSameMaintainers) {
    changes.push({
      kind: 'MaintainerChange',
      added: difference(after.maintainers, before.maintainers),
      removed: difference(before.maintainers, after.maintainers),
    });
  }
  return changes;
};

const drvPathOf = (record: EvaluationRecord | null): string | null =>
  record?.kind === 'derivation' ? record.drvPath : null;

/** Attributes with equal keys are names of one thing; null where nothing shows that. */
const aliasKeyOf = (row: PlanRow, change: Omit<PackageChange, 'aliases'>): string | null => {
  const [before, after] = [drvPathOf(row.base), drvPathOf(row.judged)];
  if (after === null && (before === null || row.change !== 'removed')) return null;
  return JSON.stringify([before, after, change.primary, change.secondary]);
};

const describeRow = (row: PlanRow, rules: NameRules): Omit<PackageChange, 'aliases'> | null => {
  const primary = classifyPrimary(row, rules);
  const secondary = classifySecondary(row);
  if (primary === null && secondary.length === 0) return null;
  const shown = row.judged === null || row.judged.kind === 'failed' ? row.base : row.judged;
  return {
    attr: row.attr,
    pname: shown === null ? null : (nameOf(shown, rules, true)?.pname ?? null),
    system: shown?.kind === 'derivation' ? shown.system : null,
    drvPath: drvPathOf(row.judged),
    primary,
    secondary,
  };
};

/** What the change means for each package, by attribute; the same plan gives the same list, to the byte. */
export const classifyPackageChanges = (plan: RebuildPlan, rules: NameRules): readonly PackageChange[] => {
  const changes: (PackageChange & { aliases: string[] })[] = [];
  const byKey = new Map<string, string[]>();
  for (const row of plan.rows) {
    const change = describeRow(row, rules);
    if (change === null) continue;
    const key = aliasKeyOf(row, change);
    const known = key === null ? undefined : byKey.get(key);
    if (known !== undefined) {
      known.push(row.attr);
      continue;
    }
    const aliases: string[] = [];
    if (key !== null) byKey.set(key, aliases);
    changes.push({ ...change, aliases });
  }
  return changes;
};
