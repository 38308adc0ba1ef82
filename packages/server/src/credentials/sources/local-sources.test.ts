import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ReadFile } from '../../config/config-host.ts';
import type { CredentialSource } from '../../config/credential-source.ts';
import { parseCredentialText } from '../credential-text.ts';
import { createCredentials } from '../credentials.ts';

const pem = '-----BEGIN RSA PRIVATE KEY-----\ncanary+line/==\nb\n-----END RSA PRIVATE KEY-----';
const realKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const files: Readonly<Record<string, ReadFile>> = {
  '/keys.env': {
    kind: 'read',
    text: `# the app\nGITHUB_APP_ID=12\nGITHUB_APP_PRIVATE_KEY=${pem}\n`,
    isPublic: false,
  },
  '/keys.json': { kind: 'read', text: '{"GITHUB_APP_ID":12,"B":"canary"}', isPublic: true },
  '/key.pem': { kind: 'read', text: realKey, isPublic: false },
  '/no-key.pem': { kind: 'read', text: pem, isPublic: false },
  '/comments': { kind: 'read', text: '# canary\n', isPublic: false },
  '/empty.json': { kind: 'read', text: '{}', isPublic: false },
  '/deep.json': { kind: 'read', text: '{"a":'.repeat(100_000), isPublic: false },
  '/nul': { kind: 'read', text: 'A="canary\0"', isPublic: false },
  '/run/creds/nothing': { kind: 'read', text: ' \n', isPublic: false },
  '/empty': { kind: 'read', text: '\n', isPublic: false },
  '/odd': { kind: 'read', text: 'A=1\ncanary words\n', isPublic: false },
  '/broken.json': { kind: 'read', text: '{"A":"canary}', isPublic: false },
  '/nested.json': { kind: 'read', text: '{"A":{"b":"canary"}}', isPublic: false },
  '/root-only': { kind: 'unreadable', message: 'cannot be read (EACCES)' },
  '/run/creds/token': { kind: 'read', text: 'canaryToken==\n', isPublic: false },
  '/run/creds/table': { kind: 'read', text: 'A=1\n', isPublic: false },
  '/run/creds/key': { kind: 'read', text: pem, isPublic: false },
};
const load = async (source: CredentialSource, env: Record<string, string> = {}) => {
  const host = { env, readFile: async (path: string) => files[path] ?? ({ kind: 'missing' } as const) };
  const { values, warnings } = await createCredentials(host).load(source, AbortSignal.timeout(5000));
  return { values: Object.fromEntries([...values].map(([name, one]) => [name, one.reveal()])), warnings };
};

describe('a credential source', () => {
  const systemd = { CREDENTIALS_DIRECTORY: '/run/creds' };
  it.each<[string, CredentialSource, Record<string, string>, Record<string, string>]>([
    ['env', { kind: 'env', vars: ['A', 'B'] }, { A: '1', B: '2', C: '3' }, { A: '1', B: '2' }],
    [
      'file of lines',
      { kind: 'file', path: '/keys.env' },
      {},
      { GITHUB_APP_ID: '12', GITHUB_APP_PRIVATE_KEY: pem },
    ],
    ['file of JSON', { kind: 'file', path: '/keys.json' }, {}, { GITHUB_APP_ID: '12', B: 'canary' }],
    ['cachix', { kind: 'cachix-token', env_var: 'T' }, { T: '1' }, { CACHIX_AUTH_TOKEN: '1' }],
    [
      'systemd, one value',
      { kind: 'systemd-credential', name: 'token' },
      systemd,
      { token: 'canaryToken==' },
    ],
    ['systemd, a key', { kind: 'systemd-credential', name: 'key' }, systemd, { key: pem }],
    ['systemd, a table', { kind: 'systemd-credential', name: 'table' }, systemd, { A: '1' }],
    [
      'key file',
      { kind: 'github-app-key-file', app_id_env: 'I', key_file: '/key.pem' },
      { I: '12' },
      { GITHUB_APP_ID: '12', GITHUB_APP_PRIVATE_KEY: realKey.trim() },
    ],
    ['none', { kind: 'none' }, {}, {}],
  ])('%s', async (_, source, env, values) => {
    expect((await load(source, env)).values).toEqual(values);
  });

  it('warns of a file that every user can read', async () => {
    expect((await load({ kind: 'file', path: '/keys.json' })).warnings).toEqual([
      'every user can read the credential file /keys.json: chmod 0600',
    ]);
  });

  it.each<[CredentialSource, string]>([
    [{ kind: 'env', vars: ['A', 'B'] }, 'CREDENTIAL_VARIABLE_UNSET'],
    [{ kind: 'file', path: '/gone' }, 'CREDENTIAL_FILE_UNREADABLE'],
    [{ kind: 'file', path: '/root-only' }, 'CREDENTIAL_FILE_UNREADABLE'],
    [{ kind: 'file', path: '/empty' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/odd' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/broken.json' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/nested.json' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/comments' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/empty.json' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/deep.json' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'file', path: '/nul' }, 'CREDENTIAL_ANSWER_INVALID'],
    [{ kind: 'cachix-token', env_var: 'T' }, 'CREDENTIAL_VARIABLE_UNSET'],
    [{ kind: 'systemd-credential', name: 'token' }, 'CREDENTIAL_DIRECTORY_UNSET'],
    [{ kind: 'github-app-key-file', app_id_env: 'A', key_file: '/gone' }, 'CREDENTIAL_FILE_UNREADABLE'],
    [{ kind: 'github-app-key-file', app_id_env: 'A', key_file: '/no-key.pem' }, 'CREDENTIAL_FILE_INVALID'],
    [{ kind: 'github-app-key-file', app_id_env: 'T', key_file: '/key.pem' }, 'CREDENTIAL_VARIABLE_UNSET'],
  ])('%j fails with %s, and shows no value', async (source, code) => {
    const error: unknown = await load(source, { A: 'canary', T: '' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary');
  });

  it('of systemd fails where the file is missing or empty', async () => {
    const missing = load({ kind: 'systemd-credential', name: 'gone' }, systemd);
    await expect(missing).rejects.toMatchObject({ code: 'CREDENTIAL_FILE_UNREADABLE' });
    const empty = load({ kind: 'systemd-credential', name: 'nothing' }, systemd);
    await expect(empty).rejects.toMatchObject({ code: 'CREDENTIAL_FILE_INVALID' });
  });
});

describe('lines of KEY=VALUE', () => {
  it.each([
    ['A = b c  \n', { A: 'b c' }],
    ['export A=1\n\n  # B=2\nC=3', { A: '1', C: '3' }],
    ['A="b\\n\\"c\\\\" # why\nB=2', { A: 'b\n"c\\', B: '2' }],
    ["A='b\nc\\n'\nB=", { A: 'b\nc\\n', B: '' }],
    [`A="${pem}"\nB=1`, { A: pem, B: '1' }],
    [`A=${pem}\r\nB=1#2\r\n`, { A: pem, B: '1#2' }],
    [`A=${pem}\nB=${pem}`, { A: pem, B: pem }],
    ['A=1\nA=2', { A: '2' }],
  ])('%j', (text, values) => {
    const parsed = parseCredentialText(text);
    expect(parsed.kind === 'values' && Object.fromEntries(parsed.values)).toEqual(values);
  });

  it.each(['A', '=1', 'A="open', "A='open", 'A="b" c', '1A=2', 'A=-----BEGIN X-----\nopen', '[1]'])(
    'not %j',
    (text) => {
      expect(parseCredentialText(text)).toMatchObject({ kind: 'invalid' });
    },
  );

  it('give back any value that was quoted, and read any text in linear time', () => {
    const quoted = (value: string): string => `K="${value.replace(/["\\]/g, String.raw`\$&`)}"`;
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const plain = value.replaceAll('\r\n', '\n');
        expect(parseCredentialText(quoted(plain))).toEqual({
          kind: 'values',
          values: new Map([['K', plain]]),
        });
        parseCredentialText(value);
      }),
    );
    for (const bomb of ['\n', ' ', '# \n', ' \t', 'A="', 'A=-----BEGIN \n', 'A=1\n', '\\"']) {
      parseCredentialText(bomb.repeat(100_000));
      parseCredentialText(`A="${bomb.repeat(100_000)}`);
    }
  });
});
