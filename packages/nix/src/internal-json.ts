// Reads Nix's structured log (`--log-format internal-json`): one `@nix {json}` line an event, on stderr.
//
// What a builder prints arrives inside results of its build's activity. A builder may speak this protocol itself: Nix
// passes on its phases and *its messages*, and drops activities of builds and results of activities that are not
// its own (seen in 2.8, 2.26 and 2.34). So activities of builds can be trusted. Messages can only where they carry
// `raw_msg`, which Nix gives to errors of its own and never to what it passes on.
import type { DrvPath } from '@eka-ci/core/ids';
import { z } from 'zod';
import { drvPathFault } from './store-path.ts';

export type NixLogEvent =
  /** `machine` is '' for this machine, else the URI of the builder. */
  | { readonly kind: 'build-started'; readonly drvPath: DrvPath; readonly machine: string }
  | { readonly kind: 'build-stopped'; readonly drvPath: DrvPath }
  /** One line of the builder's output, without its line feed; bytes that are not UTF-8 come as U+FFFD. */
  | { readonly kind: 'log-line'; readonly drvPath: DrvPath; readonly text: string }
  | { readonly kind: 'phase'; readonly drvPath: DrvPath; readonly phase: string }
  | { readonly kind: 'substitution-started'; readonly path: string; readonly from: string }
  | {
      readonly kind: 'progress';
      readonly done: number;
      readonly expected: number;
      readonly running: number;
      readonly failed: number;
    }
  | NixMessage;

/** A message, ANSI colours taken out. */
export interface NixMessage {
  readonly kind: 'message';
  /** 0 error, 1 warning, 2 notice, 3 info, 4 talkative and up. */
  readonly level: number;
  readonly text: string;
  /** True where Nix itself made it: a builder cannot forge it. */
  readonly genuine: boolean;
}

/** Numbers of Nix's protocol that are used here; the same in 2.8, 2.26 and 2.34. */
const ACTIVITY_BUILDS = 104;
const ACTIVITY_BUILD = 105;
const ACTIVITY_SUBSTITUTE = 108;
const RESULT_BUILD_LOG_LINE = 101;
const RESULT_SET_PHASE = 104;
const RESULT_PROGRESS = 105;

const Field = z.union([z.string(), z.number()]);
const Line = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('start'),
    id: z.number(),
    type: z.number(),
    fields: z.array(Field).default([]),
  }),
  z.object({ action: z.literal('stop'), id: z.number() }),
  z.object({
    action: z.literal('result'),
    id: z.number(),
    type: z.number(),
    fields: z.array(Field).default([]),
  }),
  z.object({
    action: z.literal('msg'),
    level: z.number(),
    msg: z.string(),
    raw_msg: z.string().optional(),
  }),
]);
type Line = z.infer<typeof Line>;

const ansiSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Takes terminal colours, cursor movements and titles out of a text. */
export const withoutAnsi = (text: string): string => text.replaceAll(ansiSequence, '');

const prefix = '@nix ';
const logLineStart = '@nix {"action":"result","fields":["';

/** A log line that was cut before its end: the JSON is broken, the text that is there is still worth having. */
const textOfCutLine = (line: string): string | null => {
  if (!line.startsWith(logLineStart)) return null;
  const escaped = line.slice(logLineStart.length).replace(/\\(?:u[0-9a-f]{0,3})?$/i, '');
  const parsed = parseJson(`"${escaped}"`);
  return typeof parsed === 'string' ? parsed : null;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const textField = (fields: readonly (string | number)[], index: number): string => {
  const field = fields[index];
  return typeof field === 'string' ? field : '';
};

const progressOf = (fields: readonly (string | number)[]): NixLogEvent => {
  const [done = 0, expected = 0, running = 0, failed = 0] = fields.map(Number);
  return { kind: 'progress', done, expected, running, failed };
};

type StartLine = Extract<Line, { action: 'start' }>;
type ResultLine = Extract<Line, { action: 'result' }>;

/** Reads the stderr of one Nix process, line by line. */
export class NixLogParser {
  readonly #storeDir: string;
  readonly #builds = new Map<number, DrvPath>();
  readonly #overviews = new Set<number>();
  #newest: DrvPath | null = null;

  /** @param storeDir without a slash at its end */
  constructor(storeDir: string) {
    this.#storeDir = storeDir;
  }

  /** Null for a line that says nothing of use. Never throws, whatever the line is. */
  parse(line: string): NixLogEvent | null {
    // Printed before the structured log begins, or by a program that Nix started.
    if (!line.startsWith(prefix)) {
      return line === '' ? null : { kind: 'message', level: 1, text: withoutAnsi(line), genuine: false };
    }
    const parsed = Line.safeParse(parseJson(line.slice(prefix.length)));
    if (parsed.success) return this.#take(parsed.data);
    const text = textOfCutLine(line);
    return text === null || this.#newest === null ? null : { kind: 'log-line', drvPath: this.#newest, text };
  }

  #take(line: Line): NixLogEvent | null {
    switch (line.action) {
      case 'start':
        return this.#onStart(line);
      case 'stop':
        return this.#onStop(line.id);
      case 'result':
        return this.#onResult(line);
      case 'msg': {
        const text = withoutAnsi(line.raw_msg ?? line.msg);
        return { kind: 'message', level: line.level, text, genuine: line.raw_msg !== undefined };
      }
    }
  }

  #onStart({ id, type, fields }: StartLine): NixLogEvent | null {
    if (type === ACTIVITY_BUILDS) this.#overviews.add(id);
    const path = textField(fields, 0);
    if (type === ACTIVITY_SUBSTITUTE)
      return { kind: 'substitution-started', path, from: textField(fields, 1) };
    if (type !== ACTIVITY_BUILD || drvPathFault(path, this.#storeDir) !== null) return null;
    const drvPath = path as DrvPath;
    this.#builds.set(id, drvPath);
    this.#newest = drvPath;
    return { kind: 'build-started', drvPath, machine: textField(fields, 1) };
  }

  #onStop(id: number): NixLogEvent | null {
    const drvPath = this.#builds.get(id);
    this.#builds.delete(id);
    return drvPath === undefined ? null : { kind: 'build-stopped', drvPath };
  }

  #onResult({ id, type, fields }: ResultLine): NixLogEvent | null {
    if (type === RESULT_PROGRESS && this.#overviews.has(id)) return progressOf(fields);
    const drvPath = this.#builds.get(id);
    if (drvPath === undefined) return null;
    const text = textField(fields, 0);
    if (type === RESULT_BUILD_LOG_LINE) return { kind: 'log-line', drvPath, text };
    return type === RESULT_SET_PHASE ? { kind: 'phase', drvPath, phase: text } : null;
  }
}
