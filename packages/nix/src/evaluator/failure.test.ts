import { describe, expect, it } from 'vitest';
import {
  classifyMessage,
  describeNixError,
  parsePrintedError,
  relativeToTree,
  stripControls,
} from './failure.ts';

const roots = ['/build/source'];

describe('an error that Nix printed for people', () => {
  it('of 2.8 has its message first and the trace after', () => {
    const printed =
      '\u001b[31;1merror:\u001b[0m a throw\n       on two lines\n\n       … while evaluating the attribute \'x\'\n\n       at /build/source/default.nix:8:3:\n\n            7|   not = 5;\n            8|   t = throw "a throw";\n';
    expect(describeNixError(parsePrintedError(printed), roots)).toEqual({
      kind: 'other',
      message: 'a throw\non two lines',
      position: { file: 'default.nix', line: 8, column: 3 },
    });
  });

  it('of 2.26 has the outermost call first and its message last', () => {
    const printed =
      "error:\n       … while evaluating the attribute 'x'\n         at /build/source/outer.nix:1:2:\n            1| {\n\n       … in the argument\n         at /build/source/inner.nix:3:4:\n            3| }\n\n       error: attribute 'y' missing\n       at /build/source/here.nix:5:6:\n            5| z\n";
    expect(describeNixError(parsePrintedError(printed), roots)).toEqual({
      kind: 'missing-attribute',
      message: "attribute 'y' missing",
      position: { file: 'here.nix', line: 5, column: 6 },
    });
  });

  it('may be anything: the message is never empty', () => {
    expect(describeNixError(parsePrintedError(''), roots).message).not.toBe('');
    expect(describeNixError(parsePrintedError('error: '), roots).message).not.toBe('');
  });
});

describe('a message', () => {
  it.each([
    ["evaluation aborted with the following error message: 'infinite recursion encountered'", 'abort'],
    ['infinite recursion encountered', 'infinite-recursion'],
    ['stack overflow; max-call-depth exceeded', 'stack-overflow'],
    ['stack overflow (possible infinite recursion)', 'stack-overflow'],
    ['value is a function while a set was expected', 'type'],
    ['expected a set but found a function: «lambda»', 'type'],
    ["unable to download 'https://x': Could not resolve host: x", 'network'],
    [
      "cannot build '/nix/store/x.drv' during evaluation because the option 'allow-import-from-derivation' is disabled",
      'import-from-derivation',
    ],
    ['out of memory', 'out-of-memory'],
    ['something new', 'other'],
  ])('%s is %s', (message, kind) => expect(classifyMessage(message)).toBe(kind));

  it('loses colours, links and control characters, keeps its lines', () => {
    expect(
      stripControls('\u001b[31;1mred\u001b[0m\n\u001b]8;;http://x\u0007link\u001b]8;;\u0007\u0000\ttab'),
    ).toBe('red\nlink\ttab');
  });
});

it('a path is relative only below the tree', () => {
  expect(relativeToTree('/build/source/a/b.nix', roots)).toBe('a/b.nix');
  expect(relativeToTree('/build/source-2/a.nix', roots)).toBeNull();
  expect(relativeToTree('/nix/store/x/a.nix', roots)).toBeNull();
});
