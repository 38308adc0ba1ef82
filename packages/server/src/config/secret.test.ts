import { format, inspect } from 'node:util';
import { expect, it } from 'vitest';
import { holdsSecret, Secret } from './secret.ts';

it('shows its text to reveal() alone', () => {
  const secret = new Secret('canary-1');
  const holder = { list: [{ secret }] };
  const shown = [
    secret.toString(),
    `a ${[secret].join()}`,
    JSON.stringify(holder),
    JSON.stringify(secret),
    inspect(secret),
    inspect(holder, { depth: null, showHidden: true, customInspect: false }),
    format('%s %o %O %j', secret, secret, holder, holder),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify(structuredClone(holder)),
    new Error(String(secret)).message,
    `a ${[secret] as unknown as string}`,
  ];
  expect(shown.join('\n')).not.toContain('canary-1');
  expect(String(secret)).toBe('[redacted]');
  expect(inspect(holder, { depth: null })).toBe('{ list: [ { secret: [redacted] } ] }');
  expect(JSON.stringify(holder)).toBe('{"list":[{"secret":"[redacted]"}]}');
  expect(secret.reveal()).toBe('canary-1');
});

it('is found wherever it hides', () => {
  expect(holdsSecret({ a: [{ b: new Secret('x') }] })).toBe(true);
  expect(holdsSecret([null, 'x', { a: 1 }])).toBe(false);
});
