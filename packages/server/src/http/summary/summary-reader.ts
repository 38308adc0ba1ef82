// Reads stored summaries without holding up the server: a thread parses each once, and answers what is asked of it.
import { Worker } from 'node:worker_threads';
import type { Database, StoredChange } from '../../database/database.ts';
import type { SummaryReply, SummaryRequest } from './summary-messages.ts';
import type { SummaryAnswer, SummaryQuestion } from './summary-question.ts';

/** Which summary: that of a change as it was at that moment. */
export type SummaryOf = Pick<StoredChange, 'id' | 'updatedAtMs'>;

export interface SummaryReader {
  /**
   * @param change what was read of it; where that holds the summary, the database is not asked for it again
   * @throws SummaryThreadError; what the database throws
   */
  ask(change: SummaryOf & Partial<StoredChange>, question: SummaryQuestion): Promise<SummaryAnswer>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Thrown to whoever waits for an answer when the thread that reads summaries ends, as for lack of memory. */
export class SummaryThreadError extends Error {
  readonly code = 'SUMMARY_THREAD_ENDED';
  constructor(cause: unknown) {
    super('the thread that reads summaries ended; the next question starts another', { cause });
    this.name = 'SummaryThreadError';
  }
}

const keyOf = ({ id, updatedAtMs }: SummaryOf): string => `${id}@${updatedAtMs}`;

interface Thread {
  send(request: Omit<SummaryRequest, 'id'>): Promise<SummaryReply>;
  end(): Promise<void>;
}

/** Keeps the process alive only while somebody waits. */
const startThread = (onEnd: () => void): Thread => {
  const worker = new Worker(new URL('./summary-thread.ts', import.meta.url), {
    name: 'summaries',
    // The flags of the process (a debugger's, a test runner's) are not for this thread.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 1024 },
  });
  worker.unref();
  const waiting = new Map<number, PromiseWithResolvers<SummaryReply>>();
  let nextId = 1;
  let crash: unknown;
  worker.on('error', (error) => {
    crash = error;
  });
  worker.on('exit', () => {
    onEnd();
    for (const one of waiting.values()) one.reject(new SummaryThreadError(crash));
    waiting.clear();
  });
  worker.on('message', (reply: SummaryReply) => {
    waiting.get(reply.id)?.resolve(reply);
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
  });
  return {
    send(request) {
      const id = nextId++;
      const answer = Promise.withResolvers<SummaryReply>();
      waiting.set(id, answer);
      worker.ref();
      const message: SummaryRequest = { ...request, id };
      worker.postMessage(message, request.json === null ? [] : [request.json.buffer]);
      return answer.promise;
    },
    async end() {
      await worker.terminate();
    },
  };
};

const read = (reply: SummaryReply): SummaryAnswer | null => {
  switch (reply.kind) {
    case 'answer':
      return reply.answer;
    case 'not-held':
      return null;
    case 'fault':
      throw new Error('a summary could not be read', { cause: reply.error });
  }
};

/** @param changes where summaries are kept */
export const createSummaryReader = (changes: Pick<Database['changes'], 'find'>): SummaryReader => {
  let thread: Thread | null = null;
  /** Summaries on their way to the thread: who asks for one meanwhile waits, and does not send it too. */
  const loading = new Map<string, Promise<unknown>>();
  const open = (): Thread => {
    thread ??= startThread(() => {
      thread = null;
    });
    return thread;
  };
  const ask = async (key: string, question: SummaryQuestion, json: SummaryRequest['json']) =>
    read(await open().send({ key, question, json }));
  const load = async (change: SummaryOf & Partial<StoredChange>, question: SummaryQuestion) => {
    const stored = change.summaryJson === undefined ? await changes.find(change.id) : change;
    const text = stored?.summaryJson ?? null;
    if (text === null) return { kind: 'no-summary' } as const;
    // It may have been judged again since it was listed: what is read now is kept under the time of now.
    const key = keyOf({ id: change.id, updatedAtMs: stored?.updatedAtMs ?? change.updatedAtMs });
    return (await ask(key, question, new TextEncoder().encode(text))) ?? ({ kind: 'no-summary' } as const);
  };
  const reader: SummaryReader = {
    async ask(change, question) {
      const key = keyOf(change);
      // What keeps it from being loaded is told to the one who began to.
      await loading.get(key)?.catch(() => {});
      const held = await ask(key, question, null);
      if (held !== null) return held;
      if (loading.has(key)) return reader.ask(change, question);
      const loaded = load(change, question);
      loading.set(key, loaded);
      try {
        return await loaded;
      } finally {
        loading.delete(key);
      }
    },
    async close() {
      await thread?.end();
    },
  };
  return reader;
};
