// The terminal as a screen: taken over and given back whatever happens, and only changed lines are written.
import { writeSync } from 'node:fs';
import type { Charset } from '../screen-text.ts';
import { type Key, parseKeys } from './keys.ts';
import { type Line, lineCells, paintLine } from './styled-line.ts';

const escape = '\u001b';
/** The other screen, no cursor, and nothing wraps: a line of doubtful width is cut and moves no other. */
const takeOver = `${escape}[?1049h${escape}[?25l${escape}[?7l${escape}[2J`;
/** Cleared before: a terminal whose size has changed may keep what stood on the other screen. */
const giveBack = `${escape}[0m${escape}[2J${escape}[H${escape}[?7h${escape}[?25h${escape}[?1049l`;

/** The text that makes the screen `after` where it is `before`; null: whatever may be on it. Empty: it is that already. */
export const changedText = (
  before: readonly string[] | null,
  after: readonly { readonly text: string; readonly isFull: boolean }[],
): string =>
  after
    .map(({ text, isFull }, row) => {
      if (before !== null && before[row] === text) return '';
      // Behind the last column the cursor stands on it: what is erased there would be its character.
      return `${escape}[${row + 1};1H${text}${isFull ? '' : `${escape}[K`}`;
    })
    .join('');

export interface ScreenUser {
  readonly charset: Charset;
  readonly colours: boolean;
  onKey(key: Key): void;
  onResized(size: { readonly columns: number; readonly rows: number }): void;
  /** It is to end: a signal, or nobody is at the terminal any more. */
  onEnd(): void;
}

export interface Screen {
  readonly size: { readonly columns: number; readonly rows: number };
  draw(lines: readonly Line[]): void;
  /** What is on it is not what was drawn: the next time all of it is. */
  forget(): void;
  /** Stops the job as Ctrl-Z does; when it goes on, the screen is taken over again. */
  stop(): void;
  /** Gives the terminal back as it was found. Idempotent. */
  close(): void;
}

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const sizeOf = ({ columns, rows }: NodeJS.WriteStream): Screen['size'] => ({
  // A terminal that does not know tells 0.
  columns: columns > 0 ? columns : 80,
  rows: rows > 0 ? rows : 24,
});

class TerminalScreen implements Screen {
  readonly #user: ScreenUser;
  readonly #output = process.stdout;
  readonly #input = process.stdin;
  readonly #hasKeyboard = process.stdin.isTTY === true;
  #drawn: readonly string[] | null = null;
  #isOpen = false;
  #isClosed = false;

  constructor(user: ScreenUser) {
    this.#user = user;
    for (const signal of endSignals) process.on(signal, this.#onEnd);
    process.on('SIGTSTP', this.#onStop);
    process.on('SIGCONT', this.#onContinue);
    // Before an error is printed, which would be lost with the screen.
    process.on('uncaughtExceptionMonitor', this.#onCrash);
    process.on('exit', this.#onCrash);
    this.#output.on('resize', this.#onResize);
    if (this.#hasKeyboard) {
      this.#input.setEncoding('utf8').on('data', this.#onData);
      this.#input.on('end', this.#onEnd).on('error', this.#onEnd);
    }
    this.#open();
  }

  get size(): Screen['size'] {
    return sizeOf(this.#output);
  }

  draw(lines: readonly Line[]): void {
    // A terminal that is slower than we are is shown the newest when it is ready again.
    if (!this.#isOpen || this.#output.writableNeedDrain) return;
    const { columns } = this.size;
    const painted = lines.map((line) => ({
      text: paintLine(line, this.#user.colours),
      isFull: lineCells(line) >= columns,
    }));
    const text = changedText(this.#drawn, painted);
    this.#drawn = painted.map((one) => one.text);
    if (text !== '') this.#output.write(text);
  }

  forget(): void {
    this.#drawn = null;
  }

  stop(): void {
    this.#stop(0);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leave();
    for (const signal of endSignals) process.off(signal, this.#onEnd);
    process.off('SIGTSTP', this.#onStop);
    process.off('SIGCONT', this.#onContinue);
    process.off('uncaughtExceptionMonitor', this.#onCrash);
    process.off('exit', this.#onCrash);
    this.#output.off('resize', this.#onResize);
    if (!this.#hasKeyboard) return;
    this.#input.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onEnd);
    this.#input.pause();
  }

  #open(): void {
    if (this.#isOpen || this.#isClosed) return;
    this.#isOpen = true;
    this.#drawn = null;
    if (this.#hasKeyboard) this.#input.setRawMode(true);
    this.#output.write(takeOver);
  }

  /** @param id of a process, or 0 for all of the job */
  #stop(id: number): void {
    this.#leave();
    process.off('SIGTSTP', this.#onStop);
    // Does nothing where no shell could let us go on: then we do so at once.
    process.kill(id, 'SIGTSTP');
    setImmediate(() => {
      if (this.#isClosed) return;
      process.on('SIGTSTP', this.#onStop);
      this.#onContinue();
    });
  }

  #leave(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#hasKeyboard) this.#input.setRawMode(false);
    this.#output.write(giveBack);
  }

  readonly #onEnd = (): void => this.#user.onEnd();
  readonly #onStop = (): void => this.#stop(process.pid);
  /** Whoever had the terminal meanwhile may have left anything on it. */
  readonly #onContinue = (): void => {
    this.#leave();
    this.#open();
    this.#user.onResized(this.size);
  };
  readonly #onData = (text: string): void => {
    for (const key of parseKeys(text)) this.#user.onKey(key);
  };
  readonly #onResize = (): void => {
    // A terminal may have moved everything.
    this.forget();
    this.#user.onResized(this.size);
  };
  readonly #onCrash = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      if (this.#hasKeyboard) this.#input.setRawMode(false);
      writeSync(this.#output.fd, giveBack);
    } catch {
      // There is no terminal any more.
    }
  };
}

/** Takes the terminal over at once. */
export const openScreen = (user: ScreenUser): Screen => new TerminalScreen(user);
