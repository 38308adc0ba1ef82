// The time by which things are old enough to be removed. It follows the machine's clock, but slowly where that jumps
// ahead: a clock that is years wrong for an hour must not cost what was made yesterday.
import { readFile, rename, writeFile } from 'node:fs/promises';

const dayMs = 24 * 60 * 60_000;

/** How much the clock may run ahead from one sweep to the next, beside the time that passed between them. */
export const catchUpMs = dayMs;

export interface ClockReading {
  /** What the machine says, in milliseconds since 1970. */
  readonly wallMs: number;
  /** By a clock that nobody sets; 0 where the last sweep was another process's. */
  readonly elapsedMs: number;
}

/**
 * The time of this sweep: never later than the machine's, and at most a day more than what passed since the last one. So
 * a server that was off for a month takes a month's worth of sweeps to remove all that fell due meanwhile. Pure.
 * @param lastMs the time of the last sweep; null where there was none
 * @param newestMs the latest time that anything bears, in place of a last sweep; null where there is nothing
 */
export const sweepTime = (
  lastMs: number | null,
  newestMs: number | null,
  { wallMs, elapsedMs }: ClockReading,
): number => {
  const known = lastMs ?? newestMs ?? wallMs;
  return Math.min(wallMs, known + Math.max(0, elapsedMs) + catchUpMs);
};

/** True where the machine's clock is so far ahead that whoever set it may want to know. */
export const isClockAhead = (sweepMs: number, wallMs: number): boolean => wallMs - sweepMs > 2 * dayMs;

/** Remembers over restarts when the last sweep was. */
export interface SweepMemory {
  /** Null where there was none, or what is there cannot be read. */
  read(): Promise<number | null>;
  write(sweepMs: number): Promise<void>;
}

export const createSweepMemory = (file: string): SweepMemory => ({
  async read() {
    const text = await readFile(file, 'utf8').catch(() => '');
    const sweepMs = /^\d{1,15}\n$/.test(text) ? Number(text) : null;
    return sweepMs;
  },
  async write(sweepMs) {
    // Whole or not at all: half a number would be another time.
    await writeFile(`${file}.new`, `${Math.trunc(sweepMs)}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  },
});
