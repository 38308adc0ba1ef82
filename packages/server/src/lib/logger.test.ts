// Which lines get through, and what they look like.
import { expect, it } from 'vitest';
import { createLoggers, parseLogFilter } from './logger.ts';

const linesOf = (filter: string | undefined, format: 'json' | 'plain' = 'json') => {
  const lines: string[] = [];
  const loggerFor = createLoggers({ filter, format, write: (line) => lines.push(line) });
  return { lines, loggerFor };
};

it('reads filters as operators write them', () => {
  const cases: [string | undefined, string, string][] = [
    [undefined, 'http', 'info'],
    ['', 'http', 'info'],
    ['debug', 'http', 'debug'],
    ['eka_ci_server::scheduler=debug,info', 'scheduler', 'debug'],
    ['eka_ci_server::scheduler=debug,info', 'http', 'info'],
    ['warn,eka_ci_server::forge::git=trace', 'forge', 'trace'],
    ['eka_ci_server=debug', 'anything', 'debug'],
    ['error,http', 'http', 'trace'],
    ['off', 'http', 'off'],
    ['http=loud, forge = WARN ', 'forge', 'warn'],
    ['http=loud', 'http', 'info'],
  ];
  for (const [text, target, level] of cases)
    expect([text, parseLogFilter(text).levelOf(target)]).toEqual([text, level]);
});

it('writes a line of JSON an event, and only of what is wanted', () => {
  const { lines, loggerFor } = linesOf('http=debug,forge=off,warn');
  loggerFor('http').debug('one', { route: '/v1/prs' });
  loggerFor('scheduler').info('not wanted');
  loggerFor('forge').error('not wanted either');
  loggerFor('scheduler').warn('two\nlines', { err: new Error('why') });
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events).toMatchObject([
    { level: 20, target: 'http', msg: 'one', route: '/v1/prs' },
    { level: 40, target: 'scheduler', msg: 'two\nlines', err: { message: 'why' } },
  ]);
  expect(events[0]).not.toHaveProperty('pid');
});

it('shows people one line, in which nothing moves their cursor', () => {
  const { lines, loggerFor } = linesOf('info', 'plain');
  loggerFor('forge').warn('a branch \u001b[31mred\u009b\n', { branch: 'x\u001by' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\S+ WARN {2}forge: a branch {2}\[31mred {3}branch="x\\u001by"\n$/);
});
