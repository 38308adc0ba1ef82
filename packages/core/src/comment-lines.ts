// Which lines of a Markdown comment are its author's own words: not code, not a quote, not hidden. Where CommonMark
// (0.31) needs more context than a line to tell, the line counts as code.

interface Fence {
  readonly kind: 'fence';
  readonly mark: string;
  readonly length: number;
  /** The column at which the list item that holds it begins: a line further left ends both. */
  readonly column: number;
}

/** What hides the lines that follow. */
type Hiding =
  | Fence
  /** Until a line that has this, in lower case. */
  | { readonly kind: 'until'; readonly end: string };

const columnsOf = (line: string): { readonly columns: number; readonly text: string } => {
  let columns = 0;
  let at = 0;
  for (; line[at] === ' ' || line[at] === '\t'; at++) columns += line[at] === '\t' ? 4 - (columns % 4) : 1;
  return { columns, text: line.slice(at) };
};

const listMarker = /^(?:[-+*]|\d{1,9}[.)])(?=[ \t])/;
/** More levels than anybody writes; a line of nothing but markers must not take time by their square. */
const mostLevels = 20;

/** The text behind the markers of list items that begin on this line, and its column. */
const enterLists = (line: string): { readonly columns: number; readonly text: string } => {
  let { columns, text } = columnsOf(line);
  for (let level = 0; level < mostLevels; level++) {
    const marker = listMarker.exec(text)?.[0];
    if (marker === undefined) break;
    const inner = columnsOf(text.slice(marker.length));
    columns += marker.length + inner.columns;
    text = inner.text;
  }
  return { columns, text };
};

const fenceStart = /^(?:(`{3,})[^`]*|(~{3,}).*)$/;

const openFence = (line: string): Fence | null => {
  const own = columnsOf(line);
  if (own.columns > 3) return null;
  const inner = enterLists(line);
  const found = fenceStart.exec(inner.text);
  const run = found?.[1] ?? found?.[2];
  if (run === undefined) return null;
  const isInItem = inner.text.length !== own.text.length;
  return { kind: 'fence', mark: run.slice(0, 1), length: run.length, column: isInItem ? inner.columns : 0 };
};

const closesFence = (fence: Fence, line: string): boolean => {
  const text = line.trim();
  return text.length >= fence.length && text === fence.mark.repeat(text.length);
};

/** Elements whose content is shown, or not shown, as it is written (CommonMark 0.31, 4.6, first kind). */
const verbatimElement = /^<(pre|script|style|textarea)(?=[\s>]|$)/i;

/** The last `<!--` of a line that nothing closes on that line, or -1; one in a code span opens nothing. */
const openComment = (line: string): number => {
  const shown = line.replace(/(?<!`)(`{1,3})(?!`)[^`]*\1(?!`)/g, (span) => ' '.repeat(span.length));
  let from = 0;
  for (;;) {
    const start = shown.indexOf('<!--', from);
    if (start === -1) return -1;
    // `<!-->` is a whole comment.
    const end = shown.indexOf('-->', start + 2);
    if (end === -1) return start;
    from = end + 3;
  }
};

/** What a line that is not hidden begins to hide. `commentEnds`: whether a `-->` comes after it. */
const startHiding = (line: string, commentEnds: () => boolean): Hiding | null => {
  const fence = openFence(line);
  if (fence !== null) return fence;
  const { text } = enterLists(line);
  const element = verbatimElement.exec(text)?.[1]?.toLowerCase();
  if (element !== undefined) {
    const end = `</${element}>`;
    return text.toLowerCase().includes(end) ? null : { kind: 'until', end };
  }
  const start = openComment(line);
  if (start === -1) return null;
  // At the start of a line it hides all that follows even where it has no end; elsewhere it is text then.
  return text.startsWith('<!--') || commentEnds() ? { kind: 'until', end: '-->' } : null;
};

const isLive = (line: string): boolean => {
  const { columns, text } = columnsOf(line);
  return columns <= 3 && text !== '' && !text.startsWith('>');
};

const withoutComments = (line: string): string => {
  const start = line.indexOf('<!--');
  return start === -1 ? line : line.slice(0, start);
};

/** What still hides after this line, and whether the line itself was hidden by it. */
const goOn = (hiding: Hiding, line: string): { readonly hiding: Hiding | null; readonly hid: boolean } => {
  if (hiding.kind === 'until') {
    const end = line.toLowerCase().indexOf(hiding.end);
    // What ends may begin anew on the same line.
    const goesOn = end === -1 || (hiding.end === '-->' && openComment(line.slice(end + 3)) !== -1);
    return { hiding: goesOn ? hiding : null, hid: true };
  }
  const { columns, text } = columnsOf(line);
  if (text !== '' && columns < hiding.column) return { hiding: null, hid: false };
  return { hiding: closesFence(hiding, line) ? null : hiding, hid: true };
};

/**
 * Lines outside of fenced and indented code, quotes, HTML comments and verbatim HTML, in order, each up to the first
 * comment in it. A line that follows a quote without a `>` of its own is its author's.
 */
export function* readLiveLines(markdown: string): Generator<string> {
  const lastCommentEnd = markdown.lastIndexOf('-->');
  const lineEnd = /\r\n|\n|\r|$/g;
  let hiding: Hiding | null = null;
  for (let at = 0; at < markdown.length; ) {
    lineEnd.lastIndex = at;
    const end = lineEnd.exec(markdown);
    const stop = end?.index ?? markdown.length;
    const line = markdown.slice(at, stop);
    at = stop + Math.max(1, end?.[0].length ?? 1);
    if (hiding !== null) {
      const after: ReturnType<typeof goOn> = goOn(hiding, line);
      hiding = after.hiding;
      if (after.hid) continue;
    }
    if (!isLive(line)) continue;
    hiding = startHiding(line, () => lastCommentEnd >= stop);
    if (hiding?.kind !== 'fence') yield withoutComments(line);
  }
}
