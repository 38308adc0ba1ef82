// Live events as they are shown: JSON lines, plain lines, or above a board that is redrawn.
import { once } from 'node:events';
import type { LiveEvent } from '@eka-ci/protocol/live';
import { jsonText } from '../answer-text.ts';
import type { Client } from '../client/client.ts';
import { type Board, createBoard } from './builds-board.ts';
import { eventLine } from './event-line.ts';

export interface EventView {
  /** Keeps us waiting where its reader is slow. */
  show(event: LiveEvent): Promise<void>;
  readonly onLost: () => void;
  end(): void;
  /** Rejects when it cannot go on; never resolves. */
  readonly failed: Promise<never>;
}

const never = new Promise<never>(() => {});

const write = async (text: string): Promise<void> => {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
};

const lost = 'the connection is lost: waiting for the server';

const lineView = (toText: (event: LiveEvent) => string | null): EventView => ({
  async show(event) {
    const line = toText(event);
    if (line !== null) await write(`${line}\n`);
  },
  onLost: () => void process.stderr.write(`ekaci: ${lost}\n`),
  end: () => {},
  failed: never,
});

export const createJsonView = (): EventView => lineView((event) => jsonText(event, 0));
export const createLineView = (): EventView => lineView(eventLine);

/** What runs is drawn: of builds only those that did not succeed are worth a line of their own. */
const isNews = (event: LiveEvent): boolean =>
  event.type === 'build_state_change'
    ? ['failed', 'interrupted', 'unsatisfiable'].includes(event.to)
    : event.type === 'change_update';

export const createBoardView = (client: Client): EventView => {
  const { stdout } = process;
  const board: Board = createBoard(client, {
    get columns() {
      return stdout.columns ?? 80;
    },
    get rows() {
      return stdout.rows ?? 24;
    },
    write: (text) => void stdout.write(text),
  });
  return {
    async show(event) {
      const line = isNews(event) ? eventLine(event) : null;
      if (line !== null) board.say(line);
    },
    onLost: () => board.say(lost),
    end: () => board.end(),
    failed: board.failed,
  };
};
