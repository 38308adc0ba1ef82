// An answer of GitHub's that says no: thrown where it is known, sent by whoever answers.
import type { JsonObject } from './json.ts';

export class Refusal extends Error {
  readonly code = 'FAKE_GITHUB_REFUSAL';
  readonly status: number;
  readonly errors: readonly (JsonObject | string)[] | null;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    status: number,
    message: string,
    extra: {
      readonly errors?: readonly (JsonObject | string)[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.errors = extra.errors ?? null;
    this.headers = extra.headers ?? {};
  }
}

export const notFound = (): Refusal => new Refusal(404, 'Not Found');

export const forbidden = (message = 'Resource not accessible by integration'): Refusal =>
  new Refusal(403, message);

/** 422 about one field, in the form that GitHub has for it. */
export const invalidField = (resource: string, field: string, message: string): Refusal =>
  new Refusal(422, 'Validation Failed', {
    errors: [{ resource, code: message === '' ? 'invalid' : 'custom', field, message }],
  });
