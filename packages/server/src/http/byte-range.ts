// The `Range` header of a request for bytes (RFC 9110, 14.1.2): one range of one unit.

export type ByteRange =
  | { readonly kind: 'whole' }
  /** Both included. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const form = /^bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))$/;

/** Anything that is not one well-formed range of bytes means the whole, as the RFC lets a server choose. */
export const parseByteRange = (header: string | undefined, size: number): ByteRange => {
  const match = header === undefined ? null : form.exec(header.trim());
  if (match === null) return { kind: 'whole' };
  const [, from, to, last] = match;
  if (last !== undefined) {
    const count = Math.min(Number(last), size);
    return count === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: size - count, end: size - 1 };
  }
  const start = Number(from);
  const end = to === undefined || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== undefined && to !== '' && Number(to) < start) return { kind: 'whole' };
  return start >= size ? { kind: 'unsatisfiable' } : { kind: 'part', start, end };
};
