// What is built now, drawn on a terminal in place, with what has happened above it.
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { Client } from '../client/client.ts';
import { formatDuration, plural, printable } from '../progress/progress-view.ts';
import { isPassing } from './passing-fault.ts';

export interface BoardTerminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
}

export interface BoardFacts {
  readonly builds: ActiveBuilds['builds'];
  readonly queued: number;
  readonly changes: ServerStatus['changes'];
}

const ChangeCounts = ServerStatus.pick({ changes: true });

const escape = '\u001b';
const pollIntervalMs = 1000;

const cut = (line: string, columns: number): string =>
  line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line;

/** Never more lines than the terminal has. Null: the server does not answer. */
export const boardLines = (
  facts: BoardFacts | null,
  nowMs: number,
  { columns, rows }: Pick<BoardTerminal, 'columns' | 'rows'>,
): string[] => {
  if (facts === null) return ['the server does not answer: waiting for it'];
  const { builds, queued, changes } = facts;
  const most = Math.max(1, rows - 4);
  const shown = builds.slice(0, most).map(({ name, phase, startedAtMs }) => {
    const what = phase === null ? '' : `  ${phase}`;
    return `  ${name}${what}  ${formatDuration(Math.max(0, nowMs - startedAtMs))}`;
  });
  const hidden = builds.length - shown.length;
  const head =
    `${plural(builds.length, 'build')} running, ${queued} queued; ` +
    `${plural(changes.judging, 'change')} being judged, ${changes.queued} queued   (q ends)`;
  const lines = [head, ...shown, ...(hidden > 0 ? [`  and ${hidden} more`] : [])];
  return lines.map((line) => cut(printable(line), columns));
};

const readBoard = async ({ get }: Client): Promise<BoardFacts | null> => {
  try {
    const [{ builds }, { total }, { changes }] = await Promise.all([
      get('/v1/builds/active', ActiveBuilds),
      get('/v1/builds/queue?limit=1', BuildQueue),
      get('/v1/status', ChangeCounts),
    ]);
    return { builds, queued: total, changes };
  } catch (error) {
    if (isPassing(error)) return null;
    throw error;
  }
};

export interface Board {
  /** Above what is redrawn. */
  say(line: string): void;
  /** Leaves the terminal as it was found. Idempotent. */
  end(): void;
  /** Rejects with what keeps it from being read, for good. */
  readonly failed: Promise<never>;
}

export const createBoard = (client: Client, terminal: BoardTerminal): Board => {
  let drawn = 0;
  let facts: BoardFacts | null | undefined;
  let isOver = false;
  const failed = Promise.withResolvers<never>();
  const erase = (): string => (drawn === 0 ? '' : `${escape}[${drawn}F${escape}[J`);
  const draw = (above = ''): void => {
    if (isOver) return;
    const lines = facts === undefined ? [] : boardLines(facts, Date.now(), terminal);
    terminal.write(`${erase()}${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  };
  const poll = async (): Promise<void> => {
    facts = await readBoard(client);
    draw();
    if (!isOver) timer = setTimeout(() => void poll().catch(failed.reject), pollIntervalMs);
  };
  let timer: NodeJS.Timeout | null = null;
  terminal.write(`${escape}[?25l`);
  poll().catch(failed.reject);
  return {
    failed: failed.promise,
    say: (line) => draw(`${cut(line, terminal.columns)}\n`),
    end() {
      if (isOver) return;
      terminal.write(`${erase()}${escape}[?25h`);
      isOver = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
};
