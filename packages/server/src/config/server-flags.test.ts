import { describe, expect, it } from 'vitest';
import { readServerFlags, serverUsage, settingFlags } from './server-flags.ts';

const read = (...argv: string[]) => readServerFlags(argv, '/cwd');

describe('the command line of the server', () => {
  it('sets keys, with paths from where it was given', () => {
    const command = read(
      '--port=8080',
      '--addr',
      '::1',
      '--db-path',
      'x.db',
      '--logs-dir',
      '/l',
      '--require-approval',
      '--config-file',
      '../e.toml',
    );
    if (command.kind !== 'serve') throw new Error(command.kind);
    expect(command.flags.configFile).toBe('/e.toml');
    expect(Object.fromEntries(command.flags.settings.map(({ key, value }) => [key.name, value]))).toEqual({
      'web.port': 8080,
      'web.address': '::1',
      db_path: '/cwd/x.db',
      logs_dir: '/l',
      require_approval: true,
    });
  });

  it('asks for a check in three extents', () => {
    expect(read('--check-config')).toMatchObject({ kind: 'check-config', extent: 'everything' });
    expect(read('--check-config', '--syntax')).toMatchObject({ extent: 'syntax' });
    expect(read('--no-credentials', '--check-config')).toMatchObject({ extent: 'no-credentials' });
  });

  it('is refused in words that lead on', () => {
    const refusal = (...argv: string[]) => {
      const command = read(...argv);
      return command.kind === 'refused' ? command.message : command.kind;
    };
    expect(refusal('--prot=3')).toBe('--prot is not a known flag; did you mean --port?');
    expect(refusal('--frobnicate')).toBe('--frobnicate is not a known flag');
    expect(refusal('--syntax')).toBe('--syntax goes with --check-config');
    expect(refusal('--check-config', '--syntax', '--no-credentials')).toContain('looks at no credentials');
    expect(refusal('--config-file=')).toBe('--config-file names no file');
    expect(refusal('--port')).toMatch(/--port/);
    expect(refusal('serve')).toMatch(/serve/);
    expect(refusal('-x')).toMatch(/-x/);
    expect(refusal('--help', '--port', '3')).toBe('help');
    expect(refusal('-h')).toBe('help');
    expect(refusal('--version')).toBe('version');
  });

  it('has every flag in its help', () => {
    for (const flag of Object.keys(settingFlags)) expect(serverUsage).toContain(`--${flag}`);
  });
});
