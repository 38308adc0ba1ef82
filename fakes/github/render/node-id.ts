// Ids as GraphQL has them.

export const nodeId = (kind: string, id: number | string): string =>
  Buffer.from(`0${kind.length}:${kind}${id}`).toString('base64');

/** What `nodeId` made, or null. */
export const readNodeId = (text: string): { readonly kind: string; readonly id: number } | null => {
  const found = /^\d+:([A-Za-z]+)(\d+)$/.exec(Buffer.from(text, 'base64').toString('utf8'));
  return found === null ? null : { kind: found[1] ?? '', id: Number(found[2]) };
};

/** ISO 8601 in whole seconds, as GitHub writes times. */
export const isoTime = (atMs: number): string => new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z');

export const isoTimeOrNull = (atMs: number | null): string | null => (atMs === null ? null : isoTime(atMs));
