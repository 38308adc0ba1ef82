import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findEvaluationPlace } from './evaluation-place.ts';

describe('the place of evaluations', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'eka-ci-place-'));
    writeFileSync(join(folder, 'daemon'), '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const placeWith = (access: 'direct' | 'daemon', daemon: string, socket = '/run/some.sock') =>
    findEvaluationPlace(
      { EKA_CI_SANDBOX_SOCKET: socket },
      { access, daemonSocket: join(folder, daemon), stateDir: folder },
    );

  it.each([
    ['daemon', 'daemon'],
    // Not looked at: Nix itself says then what is wrong.
    ['daemon', 'gone'],
    // Root writes the store itself, and others by the daemon.
    ['direct', 'daemon'],
  ] as const)('is the runner where its user can write the store: %s, %s', (access, daemon) => {
    expect(placeWith(access, daemon)).toEqual({ kind: 'runner', socketPath: '/run/some.sock' });
  });

  it('is the server where a runner could not, and that is worth a warning', () => {
    expect(placeWith('direct', 'gone')).toEqual({
      kind: 'server',
      isExpected: false,
      why: expect.stringMatching(/writes the store itself.*install Nix with its daemon/) as unknown,
    });
  });
});
