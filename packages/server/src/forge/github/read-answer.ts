// From a good answer's text to a value: kept for next time, parsed, and with the way to the next page.
import type { z } from 'zod';
import type { KeptAnswer } from './etag-cache.ts';
import type { Exchange } from './exchange.ts';
import { GithubError } from './github-error.ts';

type Answer = Extract<Exchange, { kind: 'answer' }>;

interface Wanted<T> {
  readonly operation: string;
  readonly schema: z.ZodType<T>;
  readonly exactIntegers?: boolean;
}

interface Reading {
  readonly apiUrl: string;
  /** What a 304 stands for. */
  readonly kept: KeptAnswer | null;
  readonly keep: (answer: KeptAnswer) => void;
}

const invalid = (operation: string, what: string, cause?: unknown): GithubError =>
  new GithubError(
    'GITHUB_ANSWER_INVALID',
    `${operation}: GitHub's answer ${what}: is api_url that of a GitHub, and is this version of EkaCI up to date?`,
    { cause },
  );

/** JavaScript's numbers lose digits past 2^53; ids of deliveries go there. */
const exactly = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' &&
  Number.isInteger(value) &&
  !Number.isSafeInteger(value) &&
  context?.source !== undefined
    ? BigInt(context.source)
    : value;

const parseJson = (text: string, { operation, exactIntegers }: Wanted<unknown>): unknown => {
  if (text === '') return null;
  try {
    return exactIntegers === true ? JSON.parse(text, exactly) : JSON.parse(text);
  } catch (error) {
    throw invalid(operation, 'is not JSON', error);
  }
};

/** The page after this one, as a path below the API's address. */
const nextPage = (
  link: string | null,
  { operation, apiUrl }: { operation: string; apiUrl: string },
): string | null => {
  const url = /<([^<>]+)>\s*;[^,<]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (url === undefined) return null;
  // It would take the token along; and without it a part would be taken for the whole.
  if (!url.startsWith(`${apiUrl}/`)) throw invalid(operation, 'goes on at another address than api_url');
  return url.slice(apiUrl.length);
};

export const readAnswer = <T>(
  call: Wanted<T>,
  answer: Answer,
  { apiUrl, kept, keep }: Reading,
): { readonly value: T; readonly next: string | null } => {
  if (answer.status === 304 && kept === null)
    throw invalid(call.operation, 'is 304 to what was not asked so');
  const text = answer.status === 304 ? (kept?.text ?? '') : answer.text;
  const link = answer.status === 304 ? (kept?.link ?? null) : answer.headers.get('link');
  const parsed = call.schema.safeParse(parseJson(text, call));
  if (!parsed.success) {
    // Paths and kinds of what is wrong: a value may be anything.
    const where = parsed.error.issues
      .slice(0, 3)
      .map(({ path, code }) => `${path.join('.') || 'the whole'} (${code})`);
    throw invalid(call.operation, `has not the documented form at ${where.join(', ')}`);
  }
  const etag = answer.headers.get('etag');
  if (answer.status === 200 && etag !== null) keep({ etag, text, link });
  return { value: parsed.data, next: nextPage(link, { operation: call.operation, apiUrl }) };
};
