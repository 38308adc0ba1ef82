// What can be wrong with a graph or with a question to it.

export type DrvGraphErrorCode =
  /** Derivations that need each other: Nix cannot make them, so a .drv file was misread or forged. */
  | 'DRV_GRAPH_CYCLE'
  /** An id that this graph never gave out. */
  | 'DRV_GRAPH_UNKNOWN_NODE'
  /** A node whose own inputs are not known yet, where they are needed. */
  | 'DRV_GRAPH_INCOMPLETE'
  /** A node settled twice, or one that the run does not want. */
  | 'DRV_GRAPH_NOT_UNSETTLED';

/** Thrown on faults only; the message says what to do. */
export class DrvGraphError extends Error {
  readonly code: DrvGraphErrorCode;

  constructor(code: DrvGraphErrorCode, message: string) {
    super(message);
    this.name = 'DrvGraphError';
    this.code = code;
  }
}

/** @param names the nodes of the cycle, each needing the next and the last the first. */
export function cycleError(names: readonly string[]): DrvGraphError {
  const shown = names.length > 12 ? [...names.slice(0, 11), '…'] : names;
  return new DrvGraphError(
    'DRV_GRAPH_CYCLE',
    `Derivations need each other: ${[...shown, names[0] ?? ''].join(' → ')}. ` +
      'Nix cannot make such files: check the .drv files of these paths and what read them.',
  );
}
