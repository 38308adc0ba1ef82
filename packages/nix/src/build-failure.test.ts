import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyFailure, type RealiseEnd } from './build-failure.ts';
import type { NixMessage } from './internal-json.ts';

const drv = (name: string): DrvPath => `/nix/store/${'a'.repeat(32)}-${name}.drv` as DrvPath;
const [top, input] = [drv('top'), drv('input')];

const error = (text: string, genuine = true): NixMessage => ({ kind: 'message', level: 0, text, genuine });

const end = (over: Partial<RealiseEnd>): RealiseEnd => ({
  requested: top,
  code: 1,
  failedBuild: top,
  messages: [],
  fetcherOutput: [],
  ...over,
});

describe('why a build failed', () => {
  it.each<[string, string, string]>([
    [
      'builder-exit',
      `builder for '${top}' failed with exit code 3`,
      `Cannot build '${top}'.\nReason: builder failed with exit code 3.`,
    ],
    [
      'out-of-memory',
      `builder for '${top}' failed due to signal 9 (Killed)`,
      `Cannot build '${top}'.\nReason: builder failed due to signal 9 (Killed).`,
    ],
    [
      'disk-full',
      `builder for '${top}' failed with exit code 1\nnote: build failure may have been caused by lack of free disk space`,
      `Cannot build '${top}'.\nReason: builder failed with exit code 1.\nNote: build failure may have been caused by lack of free disk space`,
    ],
    [
      'disk-full',
      'writing to file: No space left on device',
      "executing SQLite statement 'x': database or disk is full",
    ],
    ['lost-builder', "cannot connect to daemon at '/x': Connection refused", 'unexpected end-of-file'],
    ['process-death', 'interrupted by the user', 'some new words'],
  ])('%s, by the words of 2.8 and of 2.34', (cause, old, recent) => {
    const failedBuild = cause === 'process-death' ? null : top;
    for (const text of [old, recent]) {
      expect(classifyFailure(end({ messages: [error(text)], failedBuild }))).toMatchObject({
        kind: 'failed',
        cause,
      });
    }
  });

  it('believes the exit status of a local store more than any words', () => {
    expect(classifyFailure(end({ code: 101 }))).toMatchObject({ kind: 'timed-out' });
    expect(classifyFailure(end({ code: 102 }))).toMatchObject({ cause: 'hash-mismatch' });
    expect(classifyFailure(end({ code: 104 }))).toMatchObject({ cause: 'not-deterministic' });
    expect(classifyFailure(end({ code: 100 }))).toMatchObject({ cause: 'builder-exit' });
    expect(classifyFailure(end({ code: null }))).toMatchObject({ cause: 'process-death' });
    expect(classifyFailure(end({ code: 1, failedBuild: null }))).toMatchObject({ cause: 'process-death' });
  });

  it('says what is missing before anything was started', () => {
    const words = `a 'x86_64-linux' with features {big} is required to build '${input}', but I am a 'x86_64-linux'`;
    expect(classifyFailure(end({ messages: [error(words)], failedBuild: null }))).toEqual({
      kind: 'unsatisfiable',
      failedDrv: input,
      message: words,
    });
  });

  it('names the input that failed, which a daemon tells in words that anybody could have printed', () => {
    const messages = [
      error(`error: hash mismatch in fixed-output derivation '${input}':`, false),
      error(`1 dependencies of derivation '${top}' failed to build`),
    ];
    expect(classifyFailure(end({ messages, failedBuild: input }))).toMatchObject({
      cause: 'hash-mismatch',
      failedDrv: input,
    });
  });

  it('is not moved by messages that a builder may have printed, nor by output that Nix quotes', () => {
    const lure = fc.constantFrom(
      'note: build failure may have been caused by lack of free disk space',
      'error: unable to download it: it is gone',
      'timed out after 3 seconds',
      `hash mismatch in fixed-output derivation '${input}':`,
      `1 dependencies of derivation '${top}' failed to build`,
      'Reason: missing system features',
    );
    const separator = fc.constantFrom('\r', '\u2028', ' ');
    const honest = `builder for '${top}' failed with exit code 3`;
    fc.assert(
      fc.property(fc.array(lure), lure, separator, (forged, quoted, breakLine) => {
        const messages = [
          ...forged.map((text) => error(text, false)),
          error(`${honest};\nlast 1 log lines:\n> x${breakLine}${quoted}\n       > ${quoted}`),
        ];
        expect(classifyFailure(end({ messages, code: 1 }))).toMatchObject({
          cause: 'builder-exit',
          failedDrv: top,
        });
      }),
    );
  });
});
