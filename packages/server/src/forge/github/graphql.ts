// Asks GitHub's GraphQL API, for what its REST API cannot do.
import { z } from 'zod';
import { graphqlPath } from './api-path.ts';
import type { GithubCall, GithubClient } from './github-client.ts';
import { GithubError, type GithubErrorCode } from './github-error.ts';

export interface GraphqlQuestion<T> extends Pick<GithubCall<T>, 'operation' | 'repeat'> {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Of `data`. */
  readonly schema: z.ZodType<T>;
}

const Failure = z.object({ type: z.string().optional(), message: z.string() });

const codes: ReadonlyMap<string, GithubErrorCode> = new Map([
  ['NOT_FOUND', 'GITHUB_NOT_FOUND'],
  ['FORBIDDEN', 'GITHUB_FORBIDDEN'],
  ['INSUFFICIENT_SCOPES', 'GITHUB_FORBIDDEN'],
  ['RATE_LIMITED', 'GITHUB_RATE_LIMITED'],
]);

const toError = (operation: string, { type, message }: z.output<typeof Failure>): GithubError => {
  const said = message
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .slice(0, 300)
    .toWellFormed();
  const code = codes.get(type ?? '') ?? 'GITHUB_REFUSED';
  return new GithubError(code, `${operation}: GitHub answers ${JSON.stringify(said)}`, { status: 200 });
};

/** @throws GithubError also where GitHub answers 200 with errors in it */
export const askGraphql = async <T>(
  client: GithubClient,
  { operation, query, variables, schema, repeat = 'always' }: GraphqlQuestion<T>,
  signal?: AbortSignal,
): Promise<T> => {
  const { data, errors } = await client.call(
    {
      operation,
      method: 'POST',
      path: graphqlPath,
      body: { query, variables },
      // Of a question that it does not understand GitHub tells errors alone.
      schema: z.object({ data: z.unknown().optional(), errors: z.array(Failure).optional() }),
      repeat,
    },
    signal,
  );
  const [first] = errors ?? [];
  if (first !== undefined) throw toError(operation, first);
  const parsed = schema.safeParse(data);
  if (!parsed.success) {
    const where = parsed.error.issues.slice(0, 3).map(({ path, code }) => `${path.join('.')} (${code})`);
    throw new GithubError(
      'GITHUB_ANSWER_INVALID',
      `${operation}: data has not the documented form at ${where.join(', ')}`,
    );
  }
  return parsed.data;
};
