// What proc(5) says of a process in its file `stat`.

/**
 * By the numbers that proc(5) gives them, from 3 on; empty for what is not there. They are counted from the end of the
 * command, which may hold anything.
 * @param stat the file's text
 */
export const fieldOf = (stat: string): ((number: number) => string) => {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (number) => fields[number - 3] ?? '';
};

/** When it started, in the kernel's own count: with it, an id is one process's. Empty where that is not told. */
export const startIn = (stat: string): string => fieldOf(stat)(22);
