import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createCopyLogParser } from './copy-log.ts';

const nix = (value: object): string => `@nix ${JSON.stringify(value)}`;

it('tells which paths are copied, and what is wrong', () => {
  const parse = createCopyLogParser();
  const lines = [
    nix({ action: 'start', id: 1, type: 103, text: 'copying 1 paths', level: 3 }),
    nix({ action: 'start', id: 2, type: 100, fields: ['/s/a', 'local', 'file:///c'], level: 3, parent: 0 }),
    nix({ action: 'result', id: 2, type: 105, fields: [1, 2, 0, 0] }),
    nix({ action: 'stop', id: 2 }),
    nix({ action: 'stop', id: 2 }),
    nix({ action: 'stop', id: 1 }),
    nix({ action: 'msg', level: 1, msg: 'warning: slow' }),
    nix({ action: 'msg', level: 0, msg: '\u001b[31;1merror:\u001b[0m no' }),
    "warning: unknown setting 'x'",
    'Host key verification failed.',
  ];
  expect(lines.map(parse).filter((event) => event !== null)).toEqual([
    { kind: 'copy-started', path: '/s/a' },
    { kind: 'copy-ended', path: '/s/a' },
    { kind: 'complaint', text: 'error: no' },
    { kind: 'complaint', text: 'Host key verification failed.' },
  ]);
});

it('is not broken by any line', () => {
  const line = fc.oneof(
    fc.string(),
    fc.string().map((text) => `@nix ${text}`),
    fc.json().map((text) => `@nix ${text}`),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const parse = createCopyLogParser();
      for (const one of lines) parse(one);
    }),
  );
});
