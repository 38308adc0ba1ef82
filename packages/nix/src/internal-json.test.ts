import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NixLogEvent, NixLogParser, withoutAnsi } from './internal-json.ts';

const storeDir = '/nix/store';
const drvPath = `${storeDir}/${'a'.repeat(32)}-hello-1.0.drv` as DrvPath;
const started = {
  action: 'start',
  id: 7,
  type: 105,
  level: 3,
  text: 'building',
  fields: [drvPath, '', 1, 1],
};

const parseAll = (lines: readonly (object | string)[]): NixLogEvent[] => {
  const parser = new NixLogParser(storeDir);
  return lines
    .map((line) => parser.parse(typeof line === 'string' ? line : `@nix ${JSON.stringify(line)}`))
    .filter((event) => event !== null);
};

describe('the structured log of Nix', () => {
  it('tells a build from its start to its end', () => {
    const events = parseAll([
      { action: 'start', id: 1, type: 104, level: 0, text: '' },
      started,
      { action: 'result', id: 1, type: 105, fields: [0, 1, 1, 0] },
      { action: 'result', id: 7, type: 104, fields: ['buildPhase'] },
      { action: 'result', id: 7, type: 101, fields: ['\u001b[31mred\u001b[0m'] },
      { action: 'stop', id: 7 },
      {
        action: 'msg',
        level: 0,
        msg: '\u001b[31;1merror:\u001b[0m no',
        raw_msg: "builder for '\u001b[35;1mx\u001b[0m'",
      },
    ]);
    expect(events).toEqual([
      { kind: 'build-started', drvPath, machine: '' },
      { kind: 'progress', done: 0, expected: 1, running: 1, failed: 0 },
      { kind: 'phase', drvPath, phase: 'buildPhase' },
      { kind: 'log-line', drvPath, text: '\u001b[31mred\u001b[0m' },
      { kind: 'build-stopped', drvPath },
      { kind: 'message', level: 0, text: "builder for 'x'", genuine: true },
    ]);
  });

  it('takes nothing for a build that is not one, and marks messages that a builder may have made', () => {
    expect(
      parseAll([
        { action: 'start', id: 2, type: 101, level: 0, text: 'download', fields: [drvPath] },
        { action: 'result', id: 2, type: 101, fields: ['of a download'] },
        { action: 'result', id: 99, type: 101, fields: ['of nobody'] },
        { action: 'start', id: 3, type: 105, level: 0, text: '', fields: ['/etc/passwd', '', 1, 1] },
        { action: 'msg', level: 0, msg: 'error: forged' },
      ]),
    ).toEqual([{ kind: 'message', level: 0, text: 'error: forged', genuine: false }]);
  });

  it('keeps what there is of a log line that was cut', () => {
    const whole = `@nix {"action":"result","fields":["${'x'.repeat(20)}\\u001b[0m","id":7,"type":101}`;
    expect(parseAll([started, whole.slice(0, 50)]).at(-1)).toMatchObject({ kind: 'log-line', drvPath });
    expect(parseAll([started, whole.slice(0, 57)]).at(-1)).toMatchObject({ text: 'x'.repeat(20) });
  });

  it('never throws, whatever a line is', () => {
    const parser = new NixLogParser(storeDir);
    const field = fc.oneof(fc.string(), fc.double(), fc.constant(null), fc.constant(drvPath));
    const line = fc.oneof(
      fc.string(),
      fc.string().map((text) => `@nix ${text}`),
      fc.json().map((text) => `@nix ${text}`),
      fc
        .record({
          action: fc.constantFrom('start', 'stop', 'result', 'msg', 'setPhase'),
          id: fc.oneof(fc.nat(3), field),
          type: fc.oneof(fc.constantFrom(101, 104, 105, 108), field),
          fields: fc.array(field),
          level: field,
          msg: field,
        })
        .map((value) => `@nix ${JSON.stringify(value)}`),
    );
    fc.assert(
      fc.property(line, (text) => {
        parser.parse(text);
      }),
    );
  });

  it('takes colours, titles and cursor movements out of a text', () => {
    expect(withoutAnsi('a\u001b[1;31mb\u001b[0m\u001b]0;title\u0007c\u001b[2Kd\u001bMe')).toBe('abcde');
  });
});
