// Pages of a list that is at hand in full and only grows at its end: the cursor is a position in it.
import type { PageQuery } from '@eka-ci/protocol/page';
import { HttpError } from './errors.ts';

export interface OffsetPage<Item> {
  readonly items: readonly Item[];
  readonly total: number;
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

const form = /^at-(0|[1-9][0-9]{0,8})$/;

/** @throws HttpError CURSOR_INVALID */
export const offsetOf = (cursor: string | undefined): number => {
  if (cursor === undefined) return 0;
  const offset = form.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1];
  if (offset === undefined) {
    throw new HttpError('CURSOR_INVALID', 'this cursor is not one of ours: start again without one');
  }
  return Number(offset);
};

/** Null where nothing is left. */
export const nextCursorOf = (end: number, total: number): string | null =>
  end < total ? Buffer.from(`at-${end}`).toString('base64url') : null;

/** @throws HttpError CURSOR_INVALID */
export const pageOf = <Item>(all: readonly Item[], { limit, cursor }: PageQuery): OffsetPage<Item> => {
  const start = offsetOf(cursor);
  const end = start + limit;
  return {
    items: all.slice(start, end),
    total: all.length,
    nextCursor: nextCursorOf(end, all.length),
  };
};
