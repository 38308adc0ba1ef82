import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { makeTemporaryStore, type TemporaryStore } from '@eka-ci/nix/evaluator/testing/temporary-store';
import { findProgram } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkEvaluations } from './commands/check-evaluations.ts';
import type { LogFacts, Logger } from './lib/logger.ts';
import { openEvaluator } from './open-evaluator.ts';
import { serveStore } from './sandbox/testing/served-store.ts';
import { tryEvaluations } from './wiring/evaluating.ts';

/** Sentences, each with its level and its facts. */
const logOf = (told: string[]): Logger => {
  const level = (name: string) => (message: string, facts?: LogFacts) =>
    void told.push(`${name}: ${message} ${JSON.stringify(facts)}`);
  return {
    trace: level('trace'),
    debug: level('debug'),
    info: level('info'),
    warn: level('warn'),
    error: level('error'),
  };
};

const signal = new AbortController().signal;
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

describe('where a server evaluates', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore({ daemon: true });
  });
  afterAll(() => store.remove());

  /** Of a server beside a sandbox. */
  const envWith = (socketPath: string): NodeJS.ProcessEnv => ({
    ...store.nix.env,
    EKA_CI_SANDBOX_SOCKET: socketPath,
  });

  it('is the sandbox, which it tries when it starts', async () => {
    const runners = await serveStore(store.nix);
    try {
      const env = envWith(runners.socketPath);
      const told: string[] = [];
      const opened = openEvaluator(env, store.nix, { onBounds: () => told.push('bounds') });
      expect(opened.place).toEqual({ kind: 'runner', socketPath: runners.socketPath });
      await tryEvaluations(opened, logOf(told), signal);
      expect(told).toEqual(['bounds']);
      expect((await checkEvaluations(env)).found).toBe(`The sandbox at ${runners.socketPath} evaluates.\n`);
    } finally {
      await runners.close();
    }
  });

  it('is nowhere while the sandbox cannot confine, and the log says why', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-bin-'));
    for (const program of ['nix-instantiate', 'nix-store']) {
      symlinkSync(findProgram(program, store.nix.env['PATH']) ?? '', join(folder, program));
    }
    chmodSync(folder, 0o755);
    const runners = await serveStore(store.nix, { PATH: folder });
    // No more than that folder has.
    const nix = { ...store.nix, programs: { ...store.nix.programs, evalJobs: null } };
    try {
      const told: string[] = [];
      await tryEvaluations(
        openEvaluator(envWith(runners.socketPath), nix, { onBounds: () => {} }),
        logOf(told),
        signal,
      );
      expect(told).toEqual([
        matching(/^error: the sandbox does not evaluate: .*bubblewrap \(bwrap\) is not installed/),
      ]);
    } finally {
      await runners.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('is its own process where there is no other unit, and the log says so', async () => {
    const told: string[] = [];
    const place = { kind: 'server', why: 'there is none', isExpected: true } as const;
    const opened = { place, evaluator: chooseEvaluator(store.nix) };
    await tryEvaluations(opened, logOf(told), signal);
    expect(told).toEqual([matching(/^info: evaluations run in this process.*there is none/)]);
  });
});
