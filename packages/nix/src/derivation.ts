// Reads and prints derivation files (`.drv`) byte for byte, without asking Nix: the text has been the same in
// every version since 1.0, what the programs print about it has not.
import type { DrvPath } from '@eka-ci/core/ids';
import {
  type Cursor,
  closeParenthesis,
  comma,
  fail,
  nextItem,
  openList,
  openParenthesis,
  openText,
  printList,
  printString,
  readDrvPath,
  readString,
  readStrings,
  skip,
  skipText,
} from './aterm.ts';

export { DerivationError, textOf } from './aterm.ts';

export interface DerivationOutput {
  readonly name: string;
  /** '' where it is not known before the build (floating content-addressed, or it depends on one that is). */
  readonly path: string;
  /** For example `sha256`, or `r:sha256` for the hash of a tree; '' for an input-addressed output. */
  readonly hashAlgorithm: string;
  /** '' unless the content is fixed; `impure` for an output that may differ at each build. */
  readonly hash: string;
}

export interface DerivationInput {
  readonly path: DrvPath;
  /** Names of the outputs that are used. */
  readonly outputs: readonly string[];
}

/** One file's content, in the file's order. Every string holds bytes, one a character: see `textOf`. */
export interface Derivation {
  readonly outputs: readonly DerivationOutput[];
  readonly inputs: readonly DerivationInput[];
  readonly sources: readonly string[];
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: readonly (readonly [name: string, value: string])[];
}

const readOutputs = (at: Cursor): DerivationOutput[] => {
  const outputs: DerivationOutput[] = [];
  for (let more = openList(at); more; more = nextItem(at)) {
    skip(at, openParenthesis);
    const name = readString(at);
    skip(at, comma);
    const path = readString(at);
    skip(at, comma);
    const hashAlgorithm = readString(at);
    skip(at, comma);
    const hash = readString(at);
    skip(at, closeParenthesis);
    outputs.push({ name, path, hashAlgorithm, hash });
  }
  return outputs;
};

const readInputs = (at: Cursor): DerivationInput[] => {
  const inputs: DerivationInput[] = [];
  for (let more = openList(at); more; more = nextItem(at)) {
    skip(at, openParenthesis);
    const path = readDrvPath(at);
    skip(at, comma);
    const outputs = readStrings(at);
    skip(at, closeParenthesis);
    inputs.push({ path, outputs });
  }
  return inputs;
};

const readEnv = (at: Cursor): [string, string][] => {
  const env: [string, string][] = [];
  for (let more = openList(at); more; more = nextItem(at)) {
    skip(at, openParenthesis);
    const name = readString(at);
    skip(at, comma);
    const value = readString(at);
    skip(at, closeParenthesis);
    env.push([name, value]);
  }
  return env;
};

/**
 * @param text the whole file, one character a byte: `readFileSync(file, 'latin1')`
 * @param path named in errors where it is given
 * @throws DerivationError for anything but one whole derivation, and for dynamic derivations
 */
export const parseDerivation = (text: string, path: string | null = null): Derivation => {
  const at = openText(text, path);
  if (/[^\0-\xff]/.test(text)) fail(at, 'DRV_NOT_BYTES', 'a file read as latin1');
  if (text.startsWith('DrvWithVersion(')) {
    fail(at, 'DRV_DYNAMIC', 'a plain derivation (dynamic derivations are not supported)');
  }
  skipText(at, 'Derive(');
  const outputs = readOutputs(at);
  skip(at, comma);
  const inputs = readInputs(at);
  skip(at, comma);
  const sources = readStrings(at);
  skip(at, comma);
  const system = readString(at);
  skip(at, comma);
  const builder = readString(at);
  skip(at, comma);
  const args = readStrings(at);
  skip(at, comma);
  const env = readEnv(at);
  skip(at, closeParenthesis);
  if (at.position !== text.length) fail(at, 'DRV_TRAILING_TEXT', 'the end of the file');
  return { outputs, inputs, sources, system, builder, args, env };
};

/** The file's text, one character a byte: `Buffer.from(printDerivation(derivation), 'latin1')`. */
export const printDerivation = (derivation: Derivation): string => {
  const fields = [
    printList(derivation.outputs, ({ name, path, hashAlgorithm, hash }) => {
      return `(${[name, path, hashAlgorithm, hash].map(printString).join(',')})`;
    }),
    printList(
      derivation.inputs,
      ({ path, outputs }) => `(${printString(path)},${printList(outputs, printString)})`,
    ),
    printList(derivation.sources, printString),
    printString(derivation.system),
    printString(derivation.builder),
    printList(derivation.args, printString),
    printList(derivation.env, ([name, value]) => `(${printString(name)},${printString(value)})`),
  ];
  return `Derive(${fields.join(',')})`;
};

/** True when the content of the output is given beforehand: hash algorithm *and* hash. */
export const isFixedOutput = ({ outputs }: Derivation): boolean => {
  const [output] = outputs;
  return (
    output !== undefined &&
    outputs.length === 1 &&
    output.hashAlgorithm !== '' &&
    output.hash !== '' &&
    // What `__impure` derivations carry in place of a hash.
    output.hash !== 'impure'
  );
};
