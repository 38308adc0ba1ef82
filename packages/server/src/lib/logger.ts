// What the server says of its work: one line an event, JSON for machines, plain where a person looks on.
import { Writable } from 'node:stream';
import { type Logger as PinoLogger, pino } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** Facts of an event beside its sentence. */
export type LogFacts = Readonly<Record<string, unknown>>;

/** Says things about one target. */
export type Logger = Readonly<Record<LogLevel, (message: string, facts?: LogFacts) => void>>;

export interface LoggerOptions {
  /** Directives such as `scheduler=debug,info`; see parseLogFilter. Undefined or empty: `info`. */
  readonly filter: string | undefined;
  readonly format: 'json' | 'plain';
  /** Gets whole lines. */
  readonly write: (line: string) => void;
}

const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

type FilterLevel = LogLevel | 'off';

export interface LogFilter {
  levelOf(target: string): FilterLevel;
}

const asLevel = (text: string): FilterLevel | null => {
  const wanted = text.trim().toLowerCase();
  if (wanted === 'off') return 'off';
  return levels.find((level) => level === wanted) ?? null;
};

/** `eka_ci_server::forge::git` and `forge` are one target. */
const targetName = (text: string): string =>
  text
    .trim()
    .replace(/^eka[-_]ci(?:[-_]server)?::/, '')
    .split('::')[0] ?? '';

/**
 * Reads `target=level,…,level` as env_logger writes it; the crate's prefix of a target may be there. What cannot be
 * read is passed over: a wish about logs never keeps a server from starting.
 */
export const parseLogFilter = (text: string | undefined): LogFilter => {
  let rest: FilterLevel = 'info';
  const named = new Map<string, FilterLevel>();
  for (const directive of (text ?? '').split(',')) {
    const [left = '', right] = directive.split('=');
    if (right === undefined) {
      const level = asLevel(left);
      if (level !== null) rest = level;
      else if (left.trim() !== '') named.set(targetName(left), 'trace');
      continue;
    }
    const level = asLevel(right);
    if (level === null) continue;
    const target = targetName(left);
    // `eka_ci_server=debug` means all of it.
    if (/^eka[-_]ci(?:[-_]server)?$/.test(target)) rest = level;
    else named.set(target, level);
  }
  return { levelOf: (target) => named.get(target) ?? rest };
};

const labels: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO ',
  40: 'WARN ',
  50: 'ERROR',
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A line for people: control characters of whatever was logged do not reach the terminal. */
const plainLine = (json: string): string => {
  const event: unknown = JSON.parse(json);
  if (!isRecord(event)) return json;
  const { time, level, target, msg, ...facts } = event;
  const shown = Object.entries(facts).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const label = labels[Number(level)] ?? String(level);
  const line = `${String(time)} ${label} ${String(target)}: ${[String(msg), ...shown].join(' ')}`;
  return `${line.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')}\n`;
};

const loggerOver = (child: PinoLogger): Logger => {
  const say =
    (level: LogLevel) =>
    (message: string, facts: LogFacts = {}): void =>
      child[level](facts, message);
  return {
    trace: say('trace'),
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  };
};

/** @returns the logger of each target */
export const createLoggers = ({ filter, format, write }: LoggerOptions): ((target: string) => Logger) => {
  const wanted = parseLogFilter(filter);
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const line = chunk.toString('utf8');
      write(format === 'json' ? line : plainLine(line));
      done();
    },
  });
  const root = pino({ base: null, level: 'trace', timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return (target) => {
    const level = wanted.levelOf(target);
    return loggerOver(root.child({ target }, { level: level === 'off' ? 'silent' : level }));
  };
};
