// One line of Nix's `--log-format internal-json` read into what matters of it. That format gives an error's message,
// position and trace as fields, the same from 2.8 to 2.34, where the printed form changed order and layout.
import { z } from 'zod';

const place = {
  line: z.number().int().nullish(),
  column: z.number().int().nullish(),
  /** Since 2.2x with `:line:column` at its end; the whole source text for code that came by standard input in 2.8. */
  file: z.string().nullish(),
};

const NixMessage = z.object({
  action: z.literal('msg'),
  level: z.number().int(),
  msg: z.string(),
  /** Only errors and warnings have it. */
  raw_msg: z.string().optional(),
  ...place,
  /** Innermost first; only with `--show-trace`. */
  trace: z.array(z.object({ raw_msg: z.string(), ...place })).optional(),
});

/** A line that a builder printed (import from derivation): result type 101 of Nix's activity log. */
const NixBuildLine = z.object({
  action: z.literal('result'),
  type: z.literal(101),
  fields: z.tuple([z.string()]),
});

export interface NixPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface NixError {
  /** May hold ANSI colours. */
  readonly message: string;
  /** Where it happened and the calls around it, innermost first. */
  readonly places: readonly NixPlace[];
  /** What was being done, innermost first: `while calling the 'throw' builtin`. */
  readonly context: readonly string[];
}

export type NixLogEntry =
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'error'; readonly error: NixError }
  /** Printed past the log, for example by the handler of a stack overflow in 2.8. */
  | { readonly kind: 'raw'; readonly text: string }
  /** Activities and their progress. */
  | { readonly kind: 'other' };

const prefix = '@nix ';

type RawPlace = {
  line?: number | null | undefined;
  column?: number | null | undefined;
  file?: string | null | undefined;
};

const placeOf = ({ line, column, file }: RawPlace): NixPlace[] => {
  if (file === null || file === undefined || !line || !column) return [];
  const suffix = `:${line}:${column}`;
  return [{ file: file.endsWith(suffix) ? file.slice(0, -suffix.length) : file, line, column }];
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Cut short, or not Nix's: the caller treats it as text.
  }
};

/** Never throws: a line that is not of the format is `raw`. */
export const parseNixLogLine = (line: string): NixLogEntry => {
  if (!line.startsWith(prefix)) return { kind: 'raw', text: line };
  const value = parseJson(line.slice(prefix.length));
  if (value === undefined) return { kind: 'raw', text: line };
  const message = NixMessage.safeParse(value);
  if (!message.success) {
    const built = NixBuildLine.safeParse(value);
    return built.success ? { kind: 'message', text: built.data.fields[0] } : { kind: 'other' };
  }
  const { raw_msg: raw, level, msg, trace = [] } = message.data;
  if (raw === undefined || level > 0) return { kind: 'message', text: raw ?? msg };
  const places = [message.data, ...trace].flatMap(placeOf);
  return { kind: 'error', error: { message: raw, places, context: trace.map((frame) => frame.raw_msg) } };
};
