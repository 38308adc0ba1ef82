// A file in which builders write down that they came to their end: what was really built, whatever the server or the
// store say of it.
import { readFile } from 'node:fs/promises';

export interface LedgerLine {
  /** Its output's path, which is new for every derivation but a fixed-output one. */
  readonly output: string;
  /** Milliseconds since 1970, just before the builder ended. */
  readonly atMs: number;
}

/** For the script of a builder: its last act. */
export const writeLedger = (file: string): string => `echo $out $(/bin/date +%s%3N) >> ${file}`;

/** In the order in which they came to their end. */
export const readLedger = async (file: string): Promise<readonly LedgerLine[]> => {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [output = '', atMs = ''] = line.split(' ');
    return { output, atMs: Number(atMs) };
  });
};
