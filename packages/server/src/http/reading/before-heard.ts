// The moment between the port's opening and the end of what forges told a server that died then: nobody is shown anything that
// may be private by now. That the server lives is answered at once, and what forges tell is taken.
import type { FastifyRequest } from 'fastify';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { isOperator } from '../operator.ts';

const openToAll = ['/v1/healthz', '/v1/readyz', '/v1/metrics', '/metrics'];

/** Throws where nothing may be shown. */
export const createHeardGuard = ({ mayShow, webhooks }: Pick<HttpDeps, 'mayShow' | 'webhooks'>) => {
  const open = new Set([...openToAll, ...(webhooks?.forges.map(({ webhookPath }) => webhookPath) ?? [])]);
  /** @throws HttpError SERVER_NOT_READY */
  return (request: FastifyRequest): void => {
    if (mayShow() || open.has(request.routeOptions.url ?? '') || isOperator(request)) return;
    throw new HttpError('SERVER_NOT_READY', 'the server starts: try again in a moment');
  };
};
