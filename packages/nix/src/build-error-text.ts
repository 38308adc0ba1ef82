// What Nix says of a build that failed, in one way: since 2.29 its error has a line for each fact, before that it was one.

const failedBuild =
  /Cannot build '(?<drv>[^'\n]+)'\.\n\s*Reason: (?<reason>builder [^\n]+?|\d+ dependenc(?:y|ies) failed)\.(?=\n|$)/;
const outputPaths = /\n\s*Output paths:(?:\n\s+\/[^\n]*)*(?=\n|$)/;

/**
 * As Nix 2.8 says it, on one line, for one is what a table shows.
 * @param text without colours; any other is given back
 */
export const plainBuildError = (text: string): string => {
  const found = failedBuild.exec(text);
  const { drv = '', reason = '' } = found?.groups ?? {};
  if (found === null) return text;
  const plain = reason.startsWith('builder ')
    ? `builder for '${drv}' ${reason.slice('builder '.length)}`
    : `${reason.slice(0, -' failed'.length)} of derivation '${drv}' failed to build`;
  const { index } = found;
  return text.slice(0, index) + plain + text.slice(index + found[0].length).replace(outputPaths, '');
};
