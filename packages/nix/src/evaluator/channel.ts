// A bounded queue from several writers to one reader: who writes faster than is read waits.

export interface Channel<T> {
  /** Resolves when there is room for more. After `close` values are dropped. */
  write(value: T): Promise<void>;
  /** The next value, or undefined when the channel was closed and is empty. Only one reader at a time. */
  read(): Promise<T | undefined>;
  /** Nothing more comes; what was written can still be read. */
  close(): void;
}

export const createChannel = <T>(capacity: number): Channel<T> => {
  let values: T[] = [];
  let next = 0;
  let closed = false;
  let reader: (() => void) | undefined;
  let writers: (() => void)[] = [];

  const wake = (): void => {
    reader?.();
    reader = undefined;
  };
  const release = (): void => {
    for (const resume of writers) resume();
    writers = [];
  };
  const shift = (): T | undefined => {
    const value = values[next];
    next += 1;
    if (next === values.length) {
      values = [];
      next = 0;
      release();
    }
    return value;
  };

  return {
    write: async (value) => {
      if (closed) return;
      values.push(value);
      wake();
      if (values.length - next >= capacity) await new Promise<void>((resume) => writers.push(resume));
    },
    read: async () => {
      while (next === values.length) {
        if (closed) return undefined;
        await new Promise<void>((resume) => {
          reader = resume;
        });
      }
      return shift();
    },
    close: () => {
      closed = true;
      wake();
      release();
    },
  };
};
