// Bodies of requests: JSON, and none that is nested so deep that whoever walks through it runs out of stack.
import type { FastifyInstance } from 'fastify';
import { HttpError } from './errors.ts';

/** Deeper than anything that the API takes. */
export const maxJsonDepth = 32;

/** True where arrays and objects lie in one another deeper than that. Whether it is JSON is for the parser to say. */
export const isDeeper = (text: string, maxDepth: number): boolean => {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charAt(at)) {
      case '"':
        inString = !inString;
        break;
      case '\\':
        // What is escaped ends no string; outside of one there is no escape.
        if (inString) at += 1;
        break;
      case '{':
      case '[':
        if (!inString) depth += 1;
        if (depth > maxDepth) return true;
        break;
      case '}':
      case ']':
        if (!inString) depth -= 1;
        break;
    }
  }
  return false;
};

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
