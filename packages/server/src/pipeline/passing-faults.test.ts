import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { CredentialError } from '../credentials/credential-error.ts';
import { passingCodes, retryWaitMs, retryWaitOf } from './passing-faults.ts';

it('waits longer each time, and gives up after an hour', () => {
  const waits = Array.from({ length: 10 }, (_, faults) => retryWaitMs('GIT_TIMEOUT', faults));
  const minutes = waits.map((wait) => (wait === null ? null : wait / 60_000));
  expect(minutes).toEqual([0.5, 1, 2, 4, 8, 15, 15, 15, null, null]);
});

it('tries nothing again that is the change itself, or a bug', () => {
  const final = ['MERGE_CONFLICT', 'CONFIG_INVALID', 'GIT_REVISION_NOT_FOUND', 'GIT_URL_INVALID', ''];
  expect(final.map((code) => retryWaitMs(code, 0))).toEqual([null, null, null, null, null]);
});

it('waits for a forge as long as it is away, and not before it wants to be asked', () => {
  const away = Object.assign(new Error('away'), { code: 'GITHUB_FAULT', mayPass: true, retryAtMs: null });
  expect([0, 8, 5000].map((faults) => retryWaitOf(away, faults, 0))).toEqual([30_000, 900_000, 900_000]);
  expect(retryWaitOf(Object.assign(away, { retryAtMs: 61_000 }), 0, 1000)).toBe(60_000);
  expect(retryWaitOf(Object.assign(away, { mayPass: false }), 0, 0)).toBeNull();
});

it('waits for where the credentials of a forge come from as it does for the forge', () => {
  expect(retryWaitOf(new CredentialError('CREDENTIAL_UNREACHABLE', 'Vault is down'), 5000, 0)).toBe(900_000);
  expect(retryWaitOf(new CredentialError('CREDENTIAL_FORBIDDEN', 'it ended'), 0, 0)).toBeNull();
});

it('names codes that exist', async () => {
  const documented = await readFile(new URL('../../../../docs/reference/errors.md', import.meta.url), 'utf8');
  const ours = passingCodes.filter((code) => !/^E[A-Z]+$/.test(code));
  expect(ours.filter((code) => !documented.includes(`- \`${code}\``))).toEqual([]);
});
