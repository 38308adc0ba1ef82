import { describe, expect, it } from 'vitest';
import { fillDefaults } from '../config/server-config-defaults.ts';
import { ServerConfigSchema } from '../config/server-config-schema.ts';
import { createCredentials } from '../credentials/credentials.ts';
import { matching } from '../credentials/testing/load.ts';
import { startGcpDouble } from '../credentials/testing/metadata-double.ts';
import { checkCredentials } from './check-credentials.ts';

const configOf = (written: unknown) =>
  fillDefaults(ServerConfigSchema.parse(written), {
    directories: { configHome: '/c', dataHome: '/d', stateHome: '/s', runtimeDir: null },
    socketDir: '/s',
    cores: 1,
  });

const cache = (id: string, destination: string, credentials: unknown) => ({
  ...{ id, cache_type: 'nix-copy', destination, credentials },
});

describe('the table of credentials', () => {
  it('has a line for each entry that names a source, and asks no source twice', async () => {
    const gcp = await startGcpDouble({ token: 'canary-gcp' });
    const reads: string[] = [];
    const credentials = createCredentials({
      env: { A: 'canary-env' },
      readFile: async (path) => {
        reads.push(path);
        if (path === '/gone') return { kind: 'missing' };
        return { kind: 'read', text: '{"TOKEN":"canary","not a name":"canary"}', isPublic: true };
      },
      metadata: { ec2: gcp.url, gcp: gcp.url, azure: gcp.url, timeoutMs: 4000 },
    });
    const file = { file: { path: '/keys' } };
    const config = configOf({
      caches: [
        cache('s3', 's3://bucket', 'instance-metadata'),
        cache('web', 'https://cache.example', file),
        cache('open', 'https://open.example', 'none'),
      ],
      hooks: [
        { id: 'gcp', command: ['true'], credentials: 'instance-metadata' },
        { id: 'notify', command: ['true'], credentials: file },
        { id: 'unset', command: ['true'], credentials: { env: { vars: ['A', 'B'] } } },
      ],
      gitea_instances: [
        { domain: 'git.example', credentials: { file: { path: '/gone' } } },
        { domain: 'code.example', token: 'canary' },
      ],
    });
    try {
      const report = await checkCredentials(credentials, config);
      expect(report.found.split('\n')).toEqual([
        'credentials:',
        '  caches "s3"                    instance-metadata  faulty  GOOGLE_OAUTH_ACCESS_TOKEN; for 60 min',
        '  caches "web"                   file               works   TOKEN, 1 that no variable could be called',
        '  caches "open"                  none               works   nothing',
        '  hooks "gcp"                    instance-metadata  works   GOOGLE_OAUTH_ACCESS_TOKEN; for 60 min',
        '  hooks "notify"                 file               works   TOKEN, 1 that no variable could be called',
        '  hooks "unset"                  env                faulty  CREDENTIAL_VARIABLE_UNSET',
        '  gitea_instances "git.example"  file               faulty  CREDENTIAL_FILE_UNREADABLE',
        '',
      ]);
      expect(report.warnings).toEqual(['every user can read the credential file /keys: chmod 0600']);
      expect(report.errors).toEqual([
        matching(/^caches "s3": an s3: cache needs AWS keys/),
        matching(/^hooks "unset": the variable B is not set/),
        matching(/^gitea_instances "git\.example": the credential file \/gone does not exist/),
      ]);
      expect(reads.toSorted()).toEqual(['/gone', '/keys']);
      expect(gcp.asked.filter(({ target }) => target.endsWith('/token')).length).toBeLessThanOrEqual(2);
      expect(JSON.stringify(report)).not.toContain('canary');
    } finally {
      await gcp.close();
    }
  });
});
