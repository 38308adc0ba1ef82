// The log of one build while it is written: what is there already and what is told live, each line once.
//
// The server keeps the promise that makes this simple: a log that is read has every line that was told before. So after
// a subscription, and wherever a line is missing, the log is read on from where it was read last.
import { Derivation } from '@eka-ci/protocol/derivation';
import type { LiveEvent } from '@eka-ci/protocol/live';
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import type { EventFollower, FollowStep } from './follow-events.ts';
import { isPassing } from './passing-fault.ts';
import { splitLines } from './split-lines.ts';

type Attempt = Derivation['attempts'][number];
type LogLine = Extract<LiveEvent, { type: 'log_line' }>;

export interface FollowedLine {
  readonly attempt: number;
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
}

export interface LogView {
  /** Keeps us waiting where its reader is slow. */
  line(line: FollowedLine): Promise<void>;
  /** Something about the log that is no part of it. */
  note(text: string): void;
}

export interface LogFollowerDeps {
  readonly client: Client;
  /** `hash-name.drv`. */
  readonly drv: string;
  /** Null: the newest one, and those after it. */
  readonly wanted: number | null;
  readonly view: LogView;
}

const Draining = ServerStatus.pick({ draining: true });

const settledStates: readonly string[] = [
  'succeeded',
  'failed',
  'dependency-failed',
  'interrupted',
  'unsatisfiable',
];

const isRefusal = (error: unknown, code: string): boolean =>
  error instanceof ClientError && error.code === 'SERVER_REFUSED' && error.message.startsWith(`${code}: `);

export class LogFollower implements EventFollower {
  readonly #deps: LogFollowerDeps;
  /** 0 before there is one. */
  #attempt = 0;
  /** Lines that were shown, all from the first one on. */
  #shown = 0;
  /** Where the log was read to: behind its line of that number. */
  #readTo = { line: 0, byte: 0 };
  /** True where lines may be missing that only the log has. */
  #missed = true;
  /** It was not settled when it was last seen. */
  #wasUnderWay = false;
  #wasLost = false;
  #end: Attempt | null = null;

  constructor(deps: LogFollowerDeps) {
    this.#deps = deps;
  }

  /** What it came to; null where that was so before anybody followed. */
  get end(): Attempt | null {
    return this.#wasUnderWay ? this.#end : null;
  }

  onLost(): void {
    this.#missed = true;
    this.#wasLost = true;
    this.#deps.view.note('the connection is lost: waiting for the server');
  }

  async onSubscribed(): Promise<FollowStep> {
    const attempt = await this.#look();
    if (attempt === null) {
      this.#deps.view.note('nothing builds it so far: waiting');
      return 'go-on';
    }
    await this.#begin(attempt.attempt);
    const isOver = await this.#isOver(attempt);
    // What was over before has its log for who asks for it plainly.
    if (isOver && !this.#wasUnderWay) return 'end';
    if (this.#missed && attempt.logPath !== null) await this.#readOn(isOver);
    return isOver ? this.#finish(attempt) : 'go-on';
  }

  async onEvent(event: LiveEvent): Promise<FollowStep> {
    if (event.type === 'log_line') {
      await this.#takeLine(event);
      return 'go-on';
    }
    if (event.type === 'skipped') {
      // Its end may be among what was left out.
      this.#missed = true;
      return this.onSubscribed();
    }
    if (event.type !== 'build_state_change' || event.attempt < this.#attempt) return 'go-on';
    if (settledStates.includes(event.to)) return this.onSubscribed();
    this.#wasUnderWay = true;
    return 'go-on';
  }

  async #look(): Promise<Attempt | null> {
    const { client, drv, wanted } = this.#deps;
    const { attempts } = await client.get(`/v1/drvs/${encodeURIComponent(drv)}`, Derivation);
    if (wanted === null) return attempts.at(-1) ?? null;
    const found = attempts.find(({ attempt }) => attempt === wanted);
    if (found !== undefined) return found;
    const message = `ATTEMPT_NOT_FOUND: there is no attempt ${wanted}: there are ${attempts.length}`;
    throw new ClientError('SERVER_REFUSED', message);
  }

  async #isOver({ state, cause }: Attempt): Promise<boolean> {
    if (!settledStates.includes(state)) {
      this.#wasUnderWay = true;
      this.#wasLost = false;
      return false;
    }
    if (state !== 'interrupted' || !this.#wasUnderWay || this.#deps.wanted !== null) return true;
    // A server that ends interrupts its builds; when it is back it takes them up again.
    const byServer = cause === 'scheduler-death' || (cause === 'cancelled' && (await this.#isServerEnding()));
    if (byServer) this.#deps.view.note('the server has stopped it: waiting until it is taken up again');
    return !byServer;
  }

  async #isServerEnding(): Promise<boolean> {
    if (this.#wasLost) return true;
    try {
      return (await this.#deps.client.get('/v1/status', Draining)).draining;
    } catch (error) {
      if (isPassing(error)) return true;
      throw error;
    }
  }

  /** Goes on to that attempt, over those between: each is shown to its end. */
  async #begin(attempt: number): Promise<void> {
    const first = this.#attempt === 0 ? attempt : this.#attempt + 1;
    for (let next = first; next <= attempt; next++) {
      if (this.#attempt !== 0) {
        if (this.#missed) await this.#readOn(true);
        this.#deps.view.note(`attempt ${next} begins`);
      }
      this.#attempt = next;
      this.#shown = 0;
      this.#readTo = { line: 0, byte: 0 };
      this.#missed = true;
    }
  }

  async #takeLine({ attempt, line, text, cut }: LogLine): Promise<void> {
    const { wanted } = this.#deps;
    if (attempt < this.#attempt || (wanted !== null && attempt !== wanted)) return;
    this.#wasUnderWay = true;
    await this.#begin(attempt);
    if (line <= this.#shown) return;
    if (line > this.#shown + 1 || cut) await this.#readOn(false);
    if (line <= this.#shown) return;
    this.#noteGap(line - this.#shown - 1);
    await this.#show(line, text);
    // Every line up to here was shown, or is in no log.
    this.#missed = false;
  }

  async #show(line: number, text: string): Promise<void> {
    await this.#deps.view.line({ attempt: this.#attempt, line, text });
    this.#shown = line;
  }

  #noteGap(lines: number): void {
    if (lines > 0) {
      this.#deps.view.note(`${lines} lines are left out here: the log is longer than what the server keeps`);
    }
  }

  /** Shows what the log has beyond what was shown. @param isWhole the log has its last line */
  async #readOn(isWhole: boolean): Promise<void> {
    const { client, drv } = this.#deps;
    const path = `/v1/logs/${encodeURIComponent(drv)}?attempt=${this.#attempt}`;
    try {
      for await (const line of splitLines(client.streamFrom(path, this.#readTo.byte))) {
        if (!line.isWhole && !isWhole) break;
        const number = this.#readTo.line + 1;
        if (number > this.#shown) await this.#show(number, line.text);
        if (line.isWhole) this.#readTo = { line: number, byte: this.#readTo.byte + line.sizeBytes };
      }
    } catch (error) {
      // It runs, and has not said anything.
      if (!isRefusal(error, 'LOG_NOT_FOUND')) throw error;
    }
    if (isWhole && this.#readTo.line + 1 < this.#shown) this.#noteGap(1);
    this.#missed = false;
  }

  #finish(attempt: Attempt): FollowStep {
    this.#end = attempt;
    return 'end';
  }
}
