// Whether work that has not begun may begin: shut while a disk is too full, or while an operator drains the server.
// What runs already is no business of a gate.

export interface StartGate {
  /** As of the last look: why nothing may begin, for people, without a full stop. Null: it may. */
  shutBecause(): string | null;
  /** Looks anew, and gives the same. Never rejects, and never takes longer than a few seconds. */
  look(): Promise<string | null>;
  /**
   * Called whenever the reason may have changed, until the function that is given back is called. A gate that has to
   * look by itself to notice does so only while somebody watches.
   */
  watch(onChange: () => void): () => void;
}

/** A gate that is never shut. */
export const openGate: StartGate = {
  shutBecause: () => null,
  look: () => Promise.resolve(null),
  watch: () => () => {},
};

/** Shut while any of them is; the first reason counts. */
export const combineGates = (gates: readonly StartGate[]): StartGate => {
  const shutBecause = (): string | null => {
    for (const gate of gates) {
      const reason = gate.shutBecause();
      if (reason !== null) return reason;
    }
    return null;
  };
  return {
    shutBecause,
    look: async () => {
      await Promise.all(gates.map((gate) => gate.look()));
      return shutBecause();
    },
    watch: (onChange) => {
      const releases = gates.map((gate) => gate.watch(onChange));
      return () => {
        for (const release of releases) release();
      };
    },
  };
};

/**
 * Resolves when the gate is open, at once where it is.
 * @param onShut told the first reason, where it has to wait
 * @throws the signal's reason when it aborts
 */
export const untilOpen = async (
  gate: StartGate,
  signal: AbortSignal,
  onShut: (reason: string) => void,
): Promise<void> => {
  signal.throwIfAborted();
  let told = false;
  let woken = Promise.withResolvers<void>();
  const wake = (): void => woken.resolve();
  const release = gate.watch(wake);
  signal.addEventListener('abort', wake);
  try {
    for (;;) {
      // Before the look: a change that comes while it looks must not be lost.
      woken = Promise.withResolvers<void>();
      const reason = await gate.look();
      signal.throwIfAborted();
      if (reason === null) return;
      if (!told) onShut(reason);
      told = true;
      await woken.promise;
      signal.throwIfAborted();
    }
  } finally {
    release();
    signal.removeEventListener('abort', wake);
  }
};
