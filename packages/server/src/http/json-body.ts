// Bodies of requests: JSON, and none that is nested so deep that whoever walks through it runs out of stack.
import type { FastifyInstance } from 'fastify';
import { isDeeper } from '../lib/json-depth.ts';
import { HttpError } from './errors.ts';

/** Deeper than anything that the API takes. */
export const maxJsonDepth = 32;

export const takeJsonBodies = (app: FastifyInstance): void => {
  // With keys like `__proto__` in it a body is refused.
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (isDeeper(body, maxJsonDepth)) {
      const message = `the body is nested deeper than ${maxJsonDepth} levels: nothing here takes that`;
      done(new HttpError('REQUEST_INVALID', message));
      return;
    }
    return parse(request, body, done);
  });
};
