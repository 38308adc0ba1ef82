// Asks an app without a connection, and reads what it says.
import { ErrorBody } from '@eka-ci/protocol/error';
import type { FastifyInstance } from 'fastify';

/** The body of an answer that has to be JSON. */
export const getJson = async (app: FastifyInstance, url: string): Promise<unknown> =>
  (await app.inject(url)).json();

/** The parts of an answer that has to be an error. */
export const getRefusal = async (
  app: FastifyInstance,
  url: string,
  more: { readonly method?: 'GET' | 'POST' | 'OPTIONS'; readonly payload?: string } = {},
) => {
  const answer = await app.inject({ url, ...more });
  const { error } = ErrorBody.parse(answer.json());
  return { status: answer.statusCode, code: error.code, error, headers: answer.headers };
};
