// Waits until whoever looks has seen enough: `q`, Ctrl-C, or being told to end.

export interface EndWish {
  readonly signal: AbortSignal;
  /** Gives the keyboard back. Idempotent. */
  release(): void;
}

const keys: readonly string[] = ['q', 'Q', '\u0003', '\u0004'];

export const untilEnded = (): EndWish => {
  const wish = new AbortController();
  const end = (): void => wish.abort();
  const onKey = (data: Buffer): void => {
    if (keys.includes(data.toString('latin1'))) end();
  };
  const { stdin } = process;
  const hasKeyboard = stdin.isTTY === true;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end);
  if (hasKeyboard) {
    stdin.setRawMode(true);
    stdin.on('data', onKey);
  }
  return {
    signal: wish.signal,
    release() {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, end);
      if (!hasKeyboard) return;
      stdin.off('data', onKey);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
};
