// How long a build is likely to take, from earlier builds of the same package: what the order of builds goes by.
import type { Steps } from './steps.ts';

/**
 * A package over all its versions: derivations come and go, and names stay. A fetch is apart from the build of the same
 * name: it waits for the network, and its name is often the package's own (`zlib-1.3.tar.gz`).
 */
export interface PackageKey {
  readonly system: string;
  /** The derivation's name without its version, by Nix's own rule. */
  readonly pname: string;
  readonly fixedOutput: boolean;
}

/** Durations of a package's newest builds in milliseconds, oldest first. */
export type RecentDurations = readonly number[];

/**
 * So many are kept. The middle of the last few is moved little by one build on a machine that slept or swapped, however
 * long that took; and a package that became slower for good is known for it after half as many builds. A mean has only
 * the second, a middle of all builds ever only the first.
 */
export const recentDurationsKept = 7;

/** What is no duration (a clock was set back) is not learnt from. */
export const addDuration = (recent: RecentDurations, durationMs: number): RecentDurations =>
  Number.isFinite(durationMs) && durationMs >= 0
    ? [...recent, Math.round(durationMs)].slice(-recentDurationsKept)
    : recent;

const middleOf = (values: readonly number[]): number | null => {
  const ascending = values.toSorted((a, b) => a - b);
  // The lower of two middles: of two builds one was slowed down more often than one was sped up.
  return ascending[(ascending.length - 1) >> 1] ?? null;
};

/** Milliseconds; null where nothing was learnt. */
export const estimateDuration = (recent: RecentDurations): number | null => middleOf(recent);

/** Names a package in a map. */
export const packageKeyText = ({ system, pname, fixedOutput }: PackageKey): string =>
  JSON.stringify([system, pname, fixedOutput]);

/** The builds of one system, and its fetches, are likely to be like each other. */
const kindText = ({ system, fixedOutput }: PackageKey): string => JSON.stringify([system, fixedOutput]);

/** What was learnt of a package. */
export interface KnownPackage extends PackageKey {
  readonly recentMs: RecentDurations;
}

/** Where nothing at all is known: all are alike, and the longest chain is the one with the most builds. */
const unknownS = 1;
/** A chain of builds that took no time is still one of so many builds. */
const shortestS = 0.001;

/**
 * Expected seconds of one build of each package: by its own earlier builds, else the middle of those packages of its
 * system that are known (fetches apart from builds), else 1.
 * @param known what was learnt of packages; the fallback is taken from these alone
 */
export function* expectDurations(known: Iterable<KnownPackage>): Steps<(key: PackageKey) => number> {
  const seconds = new Map<string, number>();
  const byKind = new Map<string, number[]>();
  for (const { recentMs, ...key } of known) {
    yield;
    const estimateMs = estimateDuration(recentMs);
    if (estimateMs === null) continue;
    const estimateS = Math.max(shortestS, estimateMs / 1000);
    seconds.set(packageKeyText(key), estimateS);
    const kind = kindText(key);
    const alike = byKind.get(kind) ?? [];
    alike.push(estimateS);
    byKind.set(kind, alike);
  }
  const middles = new Map([...byKind].map(([kind, all]) => [kind, middleOf(all) ?? unknownS]));
  return (key) => seconds.get(packageKeyText(key)) ?? middles.get(kindText(key)) ?? unknownS;
}
