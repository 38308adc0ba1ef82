// What a call sees of the database it runs on: one transaction, through Kysely or, where speed counts, as text.
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

export type SqlValue = string | number | null | Uint8Array;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** One open transaction. Whoever made it commits or rolls back; calls do neither. */
export interface Session {
  readonly kysely: Kysely<Tables>;
  /**
   * Runs one statement that is prepared once a text. Parameters are `$1`, `$2`, … in the order of their
   * first use, each used once: that is what SQLite and PostgreSQL have in common.
   */
  run(text: string, parameters: readonly SqlValue[]): readonly SqlRow[] | Promise<readonly SqlRow[]>;
}

const placeholders = (first: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `$${first + i}`).join(',');

// Few sizes, so that few statements are prepared; a list is filled up with its last value, which changes nothing.
const listSizes = [1, 16, 256];
const listTexts = new Map<string, string>();

const listText = (text: string, size: number): string => {
  const key = `${size} ${text}`;
  const found = listTexts.get(key);
  if (found !== undefined) return found;
  const made = text.replace('$list', placeholders(1, size));
  listTexts.set(key, made);
  return made;
};

/** Runs a query whose only parameter is `in ($list)`, as often as the list's length asks for. */
export const selectIn = async (
  session: Session,
  text: string,
  list: readonly (string | number)[],
): Promise<readonly SqlRow[]> => {
  const rows: SqlRow[] = [];
  for (let at = 0; at < list.length; ) {
    const rest = list.length - at;
    const size = listSizes.find((candidate) => candidate >= rest) ?? 256;
    const values = list.slice(at, at + size);
    const last = values[values.length - 1] ?? null;
    while (values.length < size && last !== null) values.push(last);
    for (const row of await session.run(listText(text, size), values)) rows.push(row);
    at += size;
  }
  return rows;
};

export interface InsertTarget {
  readonly table: keyof Tables;
  readonly columns: readonly string[];
  /** What follows the values, for example `on conflict …`. */
  readonly suffix?: string;
}

const rowsAtOnce = 32;

const insertText = ({ table, columns, suffix }: InsertTarget, count: number): string => {
  const width = columns.length;
  const rows = Array.from({ length: count }, (_, i) => `(${placeholders(1 + i * width, width)})`);
  return `insert into ${table} (${columns.join(',')}) values ${rows.join(',')} ${suffix ?? ''}`;
};

/** Inserts many rows with few statements. Every row has as many values as there are columns. */
export const insertRows = async (
  session: Session,
  target: InsertTarget,
  rows: readonly (readonly SqlValue[])[],
): Promise<void> => {
  const many = rows.length >= rowsAtOnce ? insertText(target, rowsAtOnce) : '';
  let at = 0;
  for (; at + rowsAtOnce <= rows.length; at += rowsAtOnce) {
    await session.run(many, rows.slice(at, at + rowsAtOnce).flat());
  }
  const one = insertText(target, 1);
  for (; at < rows.length; at++) await session.run(one, rows[at] ?? []);
};

/**
 * Reserves `count` numbers of a counter and gives the first. It holds the counter's row until the transaction
 * ends, so numbers become visible in their order; with a count of 0 it is only that lock.
 */
export const takeNumbers = async (
  session: Session,
  counter:
    | 'derivation'
    | 'transition'
    | 'jobset'
    | 'change'
    | 'delivery'
    | 'gate'
    | 'merge'
    | 'maintainer-request'
    | 'hook-run'
    | 'publication'
    | 'push'
    | 'check-run',
  count: number,
): Promise<number> => {
  const row = await session.kysely
    .updateTable('counters')
    .set((columns) => ({ next_number: columns('next_number', '+', count) }))
    .where('name', '=', counter)
    .returning('next_number')
    .executeTakeFirstOrThrow();
  return Number(row.next_number) - count;
};
