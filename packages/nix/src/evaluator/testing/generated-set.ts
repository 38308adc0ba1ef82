// A package set of any size, as cheap to evaluate as derivations are, some of it failing so that no tryEval helps.

export interface GeneratedSet {
  /** The text of a `default.nix`, one attribute a line. */
  readonly text: string;
  /** Attribute to what its failure says and the line it is on. */
  readonly failing: ReadonlyMap<string, { readonly message: string; readonly line: number }>;
}

const header = [
  'let package = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" name ]; };',
  'in {',
];

/** Four ways to die that tryEval cannot catch. */
const fatal = (index: number): { readonly code: string; readonly message: string } => {
  switch (index % 4) {
    case 0:
      return {
        code: `abort "broken ${index}"`,
        message: `evaluation aborted with the following error message: 'broken ${index}'`,
      };
    case 1:
      return { code: `{ }.gone${index}`, message: `attribute 'gone${index}' missing` };
    case 2:
      return { code: `(x: y: x) ${index} // { }`, message: 'function' };
    default:
      return { code: `let again = again; in again`, message: 'infinite recursion encountered' };
  }
};

/** @param failing how many of the `size` attributes fail, spread evenly */
export const generateSet = (size: number, failing: number): GeneratedSet => {
  const every = failing === 0 ? Number.POSITIVE_INFINITY : Math.floor(size / failing);
  const failures = new Map<string, { message: string; line: number }>();
  const lines = Array.from({ length: size }, (_, index) => {
    const name = `package${String(index).padStart(6, '0')}`;
    if (index % every !== every - 1 || failures.size >= failing)
      return `  ${name} = package "${name}-1.${index}";`;
    const { code, message } = fatal(failures.size);
    failures.set(name, { message, line: header.length + index + 1 });
    return `  ${name} = ${code};`;
  });
  return { text: [...header, ...lines, '}', ''].join('\n'), failing: failures };
};
