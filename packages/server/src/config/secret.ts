// A secret that shows itself only where somebody asks for it by name: printing, logging and serialising redact it.
import { inspect } from 'node:util';

const redacted = '[redacted]';

/** Text that must not be shown. Every way to print it gives `[redacted]`; only `reveal()` gives the text. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself: for the call that needs it, never for a message, an argument of a process or a row. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}

/** Every secret of a value, at any depth of lists and plain objects. */
export const secretsIn = (value: unknown): Secret[] => {
  if (value instanceof Secret) return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(secretsIn) : [];
};

/** Whether a value is a secret or holds one, as `secretsIn` looks for them. */
export const holdsSecret = (value: unknown): boolean => secretsIn(value).length > 0;
