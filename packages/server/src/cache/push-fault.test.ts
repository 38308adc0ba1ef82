import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CredentialError } from '../credentials/credential-error.ts';
import { CacheError } from './cache.ts';
import { complaintFault, faultOf, httpFault, parseRetryAfter, passing } from './push-fault.ts';

// As Nix 2.8 and 2.34, OpenSSH 9, Attic and Cachix say it.
it.each([
  ["error: don't know how to open Nix store 's3://b'", 'unsupported'],
  ["error: unrecognised flag '--no-check-sigs'", 'unsupported'],
  ['Host key verification failed.', 'unauthorized'],
  ['nix@cache: Permission denied (publickey).', 'unauthorized'],
  ['Load key "/tmp/x/identity": error in libcrypto', 'unauthorized'],
  ["error: cannot add path '/nix/store/x' because it lacks a signature by a trusted key", 'unauthorized'],
  ["error: creating directory '/srv/cache/nar': Read-only file system", 'read-only'],
  ["error: opening file '/srv/cache/nix-cache-info': Permission denied", 'read-only'],
  ["error: path '/nix/store/x' is not valid", 'no-such-path'],
  ['Error: NoSuchCache: The requested cache does not exist.', 'destination'],
  ['BinaryCacheNotFound: Binary cache ours does not exist.', 'destination'],
])('%s means %s', (said, code) => {
  expect(complaintFault(['something before', said], 'nix copy')).toMatchObject({ kind: 'refused', code });
});

it.each([
  'ssh: connect to host cache port 22: Connection refused',
  'ssh: Could not resolve hostname cache: Name or service not known',
  "error: cannot open connection to remote store 'ssh-ng://cache': error: unexpected end-of-file",
  "error: writing to file '/srv/cache/nar/x': No space left on device",
  '',
])('%s is tried again', (said) => {
  expect(complaintFault([said], 'nix copy').kind).toBe('passing');
});

it('says how full is full', () => {
  expect(complaintFault(['error: write: No space left on device'], 'nix copy').why).toMatch(/^it is full/);
  expect(httpFault({ status: 507, asked: 'PUT x' }).why).toMatch(/full/);
});

// As AWS and MinIO say it.
it.each([
  [400, 'ExpiredToken'],
  [403, 'InvalidTokenId'],
  [403, 'SignatureDoesNotMatch'],
])('status %i with %s means the credentials', (status, s3Code) => {
  const fault = httpFault({ status, asked: 'PUT x', s3Code });
  expect(fault).toMatchObject({ kind: 'refused', code: 'unauthorized' });
});

it('comes to something for every status, and never to success', () => {
  fc.assert(
    fc.property(fc.integer({ min: 300, max: 599 }), fc.string(), (status, asked) => {
      const fault = httpFault({ status, asked, retryAfterMs: 5 });
      expect(fault.why).toContain(String(status));
      if (status >= 500 && status !== 501) expect(fault).toMatchObject({ kind: 'passing', retryAfterMs: 5 });
    }),
  );
});

it('reads when to come again, as seconds or as a date, within reason', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  expect(parseRetryAfter('120', nowMs)).toBe(120_000);
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', nowMs)).toBe(60_000);
  expect(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', nowMs)).toBe(0);
  expect(parseRetryAfter('999999999999999999', nowMs)).toBe(86_400_000);
  expect(parseRetryAfter('soon', nowMs)).toBeNull();
  expect(parseRetryAfter(undefined, nowMs)).toBeNull();
});

it('tells a source of credentials that is down from one that lacks something', () => {
  expect(faultOf(new CredentialError('CREDENTIAL_TIMEOUT', 'slow'))).toEqual(passing('slow'));
  expect(faultOf(new CredentialError('CREDENTIAL_VARIABLE_UNSET', 'unset'))).toMatchObject({
    kind: 'refused',
    code: 'credentials',
  });
  expect(faultOf(new CacheError(passing('down')))).toEqual(passing('down'));
  const bug = new TypeError('bug');
  expect(() => faultOf(bug)).toThrow(bug);
});
