// The bytes of a log as lines: where each ends is known, so that reading can go on there.

export interface ByteLine {
  /** Without its line feed; bytes that are not UTF-8 are replaced. */
  readonly text: string;
  /** Line feed included. */
  readonly sizeBytes: number;
  /** False for what follows the last line feed: its rest may come yet. */
  readonly isWhole: boolean;
}

const toLine = (parts: readonly Buffer[], isWhole: boolean): ByteLine => {
  const bytes = Buffer.concat(parts);
  return { text: bytes.toString('utf8'), sizeBytes: bytes.length + (isWhole ? 1 : 0), isWhole };
};

export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<ByteLine> {
  let parts: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield toLine([...parts, chunk.subarray(start, end)], true);
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) yield toLine(parts, false);
}
