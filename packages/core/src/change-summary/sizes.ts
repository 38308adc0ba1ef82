// How large the outputs became: bytes of an output and of its closure against the base, and what it now refers to.
import type { DrvPath } from '../ids.ts';
import type { VerdictRow } from '../verdict.ts';

/** One output of one derivation, as measured in a store. */
export interface OutputSize {
  readonly output: string;
  readonly narBytes: number;
  readonly closureBytes: number;
  /** Store paths of its runtime references. */
  readonly references: readonly string[];
}

/** What was measured; null where nothing was, and the comparison does without. */
export interface SizeLookup {
  readonly judged: (drvPath: DrvPath) => readonly OutputSize[] | null;
  readonly base: (drvPath: DrvPath) => readonly OutputSize[] | null;
}

export interface SizeCheck {
  /** More than this, and at least 1 MiB, is a breach. */
  readonly maxIncreasePercent: number;
}

export interface ByteChange {
  /** Null where the base has no such output or was not measured. */
  readonly baseBytes: number | null;
  readonly bytes: number;
  readonly differenceBytes: number | null;
  /** Of the base; null also where that is 0. */
  readonly differencePercent: number | null;
}

export interface SizeComparison {
  readonly attr: string;
  readonly output: string;
  readonly nar: ByteChange;
  readonly closure: ByteChange;
  /** Names without hashes, in code-unit order: another hash of the same name is no other reference. */
  readonly gainedReferences: readonly string[];
  readonly lostReferences: readonly string[];
  readonly breached: boolean;
}

/** A difference below it is never a breach, whatever its percentage. */
const FLOOR_BYTES = 1024 * 1024;

const compareBytes = (bytes: number, baseBytes: number | null): ByteChange => {
  if (baseBytes === null) return { baseBytes, bytes, differenceBytes: null, differencePercent: null };
  const differenceBytes = bytes - baseBytes;
  const differencePercent = baseBytes === 0 ? null : (differenceBytes / baseBytes) * 100;
  return { baseBytes, bytes, differenceBytes, differencePercent };
};

const isBreach = (
  { baseBytes, differenceBytes, differencePercent }: ByteChange,
  check: SizeCheck,
): boolean => {
  if (baseBytes === null || differenceBytes === null || differenceBytes < FLOOR_BYTES) return false;
  return differencePercent === null || differencePercent > check.maxIncreasePercent;
};

/** `/nix/store/<hash>-glibc-2.40` and `glibc-2.40` give the latter. */
const nameOfStorePath = (path: string): string =>
  path.slice(path.lastIndexOf('/') + 1).replace(/^[0-9a-z]{32}-/, '');

const missingFrom = (names: ReadonlySet<string>, other: ReadonlySet<string>): readonly string[] =>
  [...names].filter((name) => !other.has(name)).sort();

const compareOutput = (
  row: VerdictRow,
  sides: { readonly judged: OutputSize; readonly base: OutputSize | null },
  check: SizeCheck | null,
): SizeComparison => {
  const { judged, base } = sides;
  const nar = compareBytes(judged.narBytes, base?.narBytes ?? null);
  const closure = compareBytes(judged.closureBytes, base?.closureBytes ?? null);
  const after = new Set(judged.references.map(nameOfStorePath));
  // Against nothing every reference would be a gain.
  const before = base === null ? after : new Set(base.references.map(nameOfStorePath));
  return {
    attr: row.attr,
    output: judged.output,
    nar,
    closure,
    gainedReferences: missingFrom(after, before),
    lostReferences: missingFrom(before, after),
    breached: check !== null && (isBreach(nar, check) || isBreach(closure, check)),
  };
};

const compareRow = (row: VerdictRow, sizes: SizeLookup, check: SizeCheck | null): SizeComparison[] => {
  const judged = row.drvPath === null ? null : sizes.judged(row.drvPath);
  const base = row.baseDrvPath === null ? null : sizes.base(row.baseDrvPath);
  return (judged ?? []).map((output) =>
    compareOutput(
      row,
      { judged: output, base: base?.find((other) => other.output === output.output) ?? null },
      check,
    ),
  );
};

const compareNames = (a: SizeComparison, b: SizeComparison): number => {
  if (a.attr !== b.attr) return a.attr < b.attr ? -1 : 1;
  return a.output < b.output ? -1 : a.output === b.output ? 0 : 1;
};

/** For every succeeded row that was measured, an entry for each of its outputs; by attribute, then output. */
export const compareSizes = (
  rows: readonly VerdictRow[],
  sizes: SizeLookup,
  check: SizeCheck | null,
): readonly SizeComparison[] =>
  rows
    .filter((row) => row.outcome?.state === 'succeeded')
    .flatMap((row) => compareRow(row, sizes, check))
    .sort(compareNames);
