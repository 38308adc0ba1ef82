// Takes secrets out of text that others will read. Costs nothing where there are none, and little where none is found.

/** Each gives what it was given, every secret replaced. */
export interface SecretMask {
  text(text: string): string;
  /** As text or as bytes, whichever it came as. */
  line(line: string | Uint8Array): string | Uint8Array;
}

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

/**
 * @param secrets any text; what is shorter than 8 characters is passed over
 * @returns null where nothing is left to mask
 */
export const createSecretMask = (secrets: Iterable<string>): SecretMask | null => {
  const lines = [...secrets].flatMap(linesOf).filter((line) => line.length >= minSecretLength);
  const known = [...new Set(lines)];
  if (known.length === 0) return null;
  const maskText = createTextMask(known);
  // A character a byte: so bytes that are no UTF-8 come through as they are.
  const maskBytes = createTextMask(known.map((secret) => Buffer.from(secret).toString('latin1')));
  return {
    text: maskText,
    line(line) {
      if (typeof line === 'string') return maskText(line);
      const latin1 = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('latin1');
      const masked = maskBytes(latin1);
      return masked === latin1 ? line : Buffer.from(masked, 'latin1');
    },
  };
};
