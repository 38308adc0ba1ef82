// What the API's document says of an answer that is a log.
import { z } from 'zod';
import { badRequest, notFound, rangeNotSatisfiable } from '../route.ts';

const text = { 'text/plain; charset=utf-8': { schema: z.string() } };
const html = { 'text/html; charset=utf-8': { schema: z.string() } };

export const logAnswers = {
  200: { description: 'The whole log', content: { ...text, ...html } },
  206: { description: 'A part of it', content: text },
  ...badRequest,
  ...notFound,
  ...rangeNotSatisfiable,
};
