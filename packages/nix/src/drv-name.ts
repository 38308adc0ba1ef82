// Names and versions as Nix itself reads them: `builtins.parseDrvName` and `builtins.compareVersions`.

export interface DrvName {
  readonly pname: string;
  /** Null where the name carries none. */
  readonly version: string | null;
}

/** Splits a derivation's name (no hash, no `.drv`): the version begins after the first dash that no letter follows. */
export const splitDrvName = (name: string): DrvName => {
  // A dash at the very end has nothing after it and splits nothing.
  const dash = name.search(/-[^a-zA-Z]/s);
  if (dash === -1) return { pname: name, version: null };
  return { pname: name.slice(0, dash), version: name.slice(dash + 1) };
};

const componentPattern = /[0-9]+|[^0-9.-]+/g;

const componentsOf = (version: string): readonly string[] => version.match(componentPattern) ?? [];

/** Nix reads a component as a C++ `int`; one that does not fit is compared as text. */
const numberOf = (component: string): number | null => {
  if (!/^[0-9]+$/.test(component)) return null;
  const value = Number(component);
  return value <= 2_147_483_647 ? value : null;
};

/** Nix's order of two components; an absent one is ''. */
const isComponentLess = (a: string, b: string): boolean => {
  const aNumber = numberOf(a);
  const bNumber = numberOf(b);
  if (aNumber !== null && bNumber !== null) return aNumber < bNumber;
  if (a === '' && bNumber !== null) return true;
  if (a === 'pre' && b !== 'pre') return true;
  if (b === 'pre') return false;
  // 2.3a comes before 2.3.1
  if (bNumber !== null) return true;
  if (aNumber !== null) return false;
  return a < b;
};

/**
 * -1 when `a` is the older version, 1 when it is the newer, 0 when Nix takes them for equal (`1.0` and `1-0`).
 * Not a total order over arbitrary text (Nix's is none either): for telling a bump from a downgrade, not for sorting.
 */
export const compareVersions = (a: string, b: string): -1 | 0 | 1 => {
  const aComponents = componentsOf(a);
  const bComponents = componentsOf(b);
  for (let i = 0; i < Math.max(aComponents.length, bComponents.length); i++) {
    const [left, right] = [aComponents[i] ?? '', bComponents[i] ?? ''];
    if (isComponentLess(left, right)) return -1;
    if (isComponentLess(right, left)) return 1;
  }
  return 0;
};
