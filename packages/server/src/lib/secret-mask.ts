// Takes secrets out of text that others will read. Costs nothing where there are none, and little where none is found.
// Secrets can become known later: what is masked is what is known when the text comes.

/** Each gives what it was given, every secret replaced. */
export interface SecretMask {
  text(text: string): string;
  /** As text or as bytes, whichever it came as. */
  line(line: string | Uint8Array): string | Uint8Array;
  /**
   * From now on these are masked too. Of one owner the last few sets are known: what was replaced may still be in a
   * log that is being written, and is valid for a while.
   */
  learn(owner: string, secrets: Iterable<string>): void;
}

/** Sets of secrets that are known of one owner. */
const keptSets = 4;

const redacted = '[redacted]';
/** Shorter ones would be found where they are none: in words, in numbers. */
const minSecretLength = 8;
/** The frame around a key in PEM is no secret (RFC 7468). */
const pemFrame = /^-----(BEGIN|END) .*-----$/;

/** A log is told by lines, so of a secret that has several each is one. */
const linesOf = (secret: string): string[] =>
  secret
    .split(/\r?\n/)
    .filter((line) => !pemFrame.test(line.trim()))
    .map((line) => line.trim());

const escapeForPattern = (text: string): string => text.replace(/[$()*+.?[\\\]^{|}/-]/g, '\\$&');

interface Range {
  readonly start: number;
  end: number;
}

/** Where any of them is; what overlaps or touches is one. */
const findAll = (text: string, secrets: readonly string[]): Range[] => {
  const found: Range[] = [];
  for (const secret of secrets) {
    for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + 1)) {
      found.push({ start: at, end: at + secret.length });
    }
  }
  found.sort((one, other) => one.start - other.start);
  const joined: Range[] = [];
  for (const range of found) {
    const last = joined.at(-1);
    if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else joined.push(range);
  }
  return joined;
};

const createTextMask = (secrets: readonly string[]): ((text: string) => string) => {
  // One pass for all of them; nearly every line ends here.
  const any = new RegExp(secrets.map(escapeForPattern).join('|'));
  return (text) => {
    if (!any.test(text)) return text;
    let masked = '';
    let from = 0;
    for (const { start, end } of findAll(text, secrets)) {
      masked += text.slice(from, start) + redacted;
      from = end;
    }
    return masked + text.slice(from);
  };
};

const maskable = (secrets: Iterable<string>): string[] => [
  ...new Set([...secrets].flatMap(linesOf).filter((line) => line.length >= minSecretLength)),
];

/** Null where nothing is to be masked. */
const createMasks = (known: readonly string[]) =>
  known.length === 0
    ? null
    : {
        text: createTextMask(known),
        // A character a byte: so bytes that are no UTF-8 come through as they are.
        bytes: createTextMask(known.map((secret) => Buffer.from(secret).toString('latin1'))),
      };

/** @param secrets any text; what is shorter than 8 characters is passed over, here and later */
export const createSecretMask = (secrets: Iterable<string>): SecretMask => {
  const first = maskable(secrets);
  const learnt = new Map<string, readonly (readonly string[])[]>();
  let masks = createMasks(first);
  const isSame = (one: readonly string[], other: readonly string[]): boolean =>
    one.length === other.length && one.every((secret, index) => secret === other[index]);
  return {
    text: (text) => masks?.text(text) ?? text,
    line(line) {
      if (masks === null) return line;
      if (typeof line === 'string') return masks.text(line);
      const latin1 = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('latin1');
      const masked = masks.bytes(latin1);
      return masked === latin1 ? line : Buffer.from(masked, 'latin1');
    },
    learn(owner, more) {
      const set = maskable(more).toSorted();
      const sets = learnt.get(owner) ?? [];
      const [newest = []] = sets;
      if (isSame(set, newest)) return;
      learnt.set(owner, [set, ...sets.filter((one) => !isSame(one, set))].slice(0, keptSets));
      masks = createMasks([...new Set([...first, ...[...learnt.values()].flat(2)])]);
    },
  };
};
