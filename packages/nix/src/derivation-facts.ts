// What a scheduler has to know of a derivation, wherever its attributes sit: in its environment, or in `__json`.
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { type Derivation, DerivationError, isFixedOutput, textOf } from './derivation.ts';

export interface DerivationFacts {
  readonly preferLocalBuild: boolean;
  readonly allowSubstitutes: boolean;
  readonly requiredFeatures: readonly string[];
  /** As the package says it; null where it does not (then its name tells: `splitDrvName`). */
  readonly pname: string | null;
  readonly version: string | null;
}

/**
 * The same text in memory of its own. What a parser cuts from a file is a view of the whole file: kept for long,
 * it would keep the file too. Views of fewer than 13 characters are none (V8).
 */
export const detach = (text: string): string => (text.length < 13 ? text : Buffer.from(text).toString());

/** The text of an environment variable, or null where the derivation does not set it. */
export const envText = (derivation: Derivation, name: string): string | null => {
  const found = derivation.env.find(([key]) => key === name);
  return found === undefined ? null : textOf(found[1]);
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const parseStructuredAttrs = (json: string, path: string | null): Readonly<Record<string, unknown>> => {
  let value: unknown;
  try {
    value = JSON.parse(textOf(json));
  } catch {
    value = undefined;
  }
  if (isRecord(value)) return value;
  throw new DerivationError('DRV_STRUCTURED_ATTRS', {
    path,
    offset: 0,
    expected: 'a JSON object in the variable __json of the derivation that begins',
    found: JSON.stringify(json.slice(0, 20)),
  });
};

/**
 * The attributes of a derivation made with `__structuredAttrs = true`, or null for one without.
 * @param path named in errors where it is given
 * @throws DerivationError DRV_STRUCTURED_ATTRS when they are not a JSON object
 */
export const structuredAttrsOf = (
  derivation: Derivation,
  path: string | null = null,
): Readonly<Record<string, unknown>> | null => {
  const json = derivation.env.find(([name]) => name === '__json');
  return json === undefined ? null : parseStructuredAttrs(json[1], path);
};

const wordsOf = (text: string): readonly string[] => text.split(/[ \t\n\r]+/).filter((word) => word !== '');

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** A value of the wrong type counts as absent here: Nix itself refuses it, with a message, when it builds. */
const factsOfAttrs = (attrs: Readonly<Record<string, unknown>>): DerivationFacts => {
  const features: unknown = attrs['requiredSystemFeatures'];
  return {
    preferLocalBuild: attrs['preferLocalBuild'] === true,
    allowSubstitutes: attrs['allowSubstitutes'] !== false,
    requiredFeatures: Array.isArray(features) ? features.filter((item) => typeof item === 'string') : [],
    pname: textOrNull(attrs['pname']),
    version: textOrNull(attrs['version']),
  };
};

/**
 * @param path named in errors where it is given
 * @throws DerivationError DRV_STRUCTURED_ATTRS
 */
export const factsOf = (derivation: Derivation, path: string | null = null): DerivationFacts => {
  let preferLocalBuild = false;
  let allowSubstitutes = true;
  let requiredFeatures: readonly string[] = [];
  let pname: string | null = null;
  let version: string | null = null;
  for (const [name, value] of derivation.env) {
    if (name === '__json') return factsOfAttrs(parseStructuredAttrs(value, path));
    if (name === 'preferLocalBuild') preferLocalBuild = value === '1';
    else if (name === 'allowSubstitutes') allowSubstitutes = value === '1';
    else if (name === 'requiredSystemFeatures') requiredFeatures = wordsOf(textOf(value)).map(detach);
    else if (name === 'pname') pname = detach(textOf(value));
    else if (name === 'version') version = detach(textOf(value));
  }
  return { preferLocalBuild, allowSubstitutes, requiredFeatures, pname, version };
};

const detachPath = (path: DrvPath): DrvPath => detach(path) as DrvPath;

/** What the dependency graph keeps; none of its strings keeps the file's text alive. */
export const toDrvNode = (
  path: DrvPath,
  derivation: Derivation,
  /** For callers that know many of the paths already and share one copy of each. */
  ownPath: (path: DrvPath) => DrvPath = detachPath,
): DrvNode => {
  const { preferLocalBuild, allowSubstitutes, requiredFeatures } = factsOf(derivation, path);
  return {
    path,
    system: detach(derivation.system),
    fixedOutput: isFixedOutput(derivation),
    preferLocalBuild,
    allowSubstitutes,
    requiredFeatures,
    outputs: derivation.outputs.map((output) => ({ name: detach(output.name), path: detach(output.path) })),
    inputs: derivation.inputs.map((input) => ({
      path: ownPath(input.path),
      outputs: input.outputs.map(detach),
    })),
  };
};
