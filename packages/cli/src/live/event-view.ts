// Live events as they are shown where nothing is drawn: JSON lines or plain lines.
import { once } from 'node:events';
import type { LiveEvent } from '@eka-ci/protocol/live';
import { jsonText } from '../answer-text.ts';
import { eventLine } from './event-line.ts';

export interface EventView {
  /** Keeps us waiting where its reader is slow. */
  show(event: LiveEvent): Promise<void>;
  readonly onLost: () => void;
}

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
});

export const createJsonView = (): EventView => lineView((event) => jsonText(event, 0));
export const createLineView = (): EventView => lineView(eventLine);
