import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveJobFile } from './job-file.ts';

describe('resolveJobFile', () => {
  let parent = '';
  let tree = '';
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'eka-job-file-'));
    tree = join(parent, 'source');
    await mkdir(tree);
  });
  afterEach(() => rm(parent, { recursive: true, force: true }));

  const write = async (path: string): Promise<void> => {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), '{ }');
  };
  const link = async (target: string, path: string): Promise<void> => {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await symlink(target, join(tree, path));
  };
  const refusal = async (file: string): Promise<string> => {
    const resolved = await resolveJobFile(tree, file);
    return resolved.kind === 'refused' ? resolved.message : `resolved to ${resolved.path}`;
  };

  it('finds files, directories and what links inside the checkout lead to', async () => {
    await write('pkgs/default.nix');
    await write('default.nix');
    await write('%2e%2e/x.nix');
    await link('../pkgs', 'deep/down');
    await link('down/default.nix', 'deep/entry.nix');
    const path = async (file: string) => await resolveJobFile(tree, file);
    expect(await path('/')).toEqual({ kind: 'file', path: 'default.nix' });
    expect(await path('.')).toEqual({ kind: 'file', path: 'default.nix' });
    expect(await path('pkgs')).toEqual({ kind: 'file', path: 'pkgs/default.nix' });
    expect(await path('//pkgs/./default.nix')).toEqual({ kind: 'file', path: 'pkgs/default.nix' });
    expect(await path('deep/entry.nix')).toEqual({ kind: 'file', path: 'pkgs/default.nix' });
    expect(await path('%2e%2e/x.nix')).toEqual({ kind: 'file', path: '%2e%2e/x.nix' });
  });

  it('refuses every way out, and says which', async () => {
    await writeFile(join(parent, 'secret.nix'), '{ }');
    await write('inside.nix');
    await link('../secret.nix', 'out.nix');
    await link('/etc/passwd', 'absolute.nix');
    await link(join(tree, 'inside.nix'), 'absolute-back.nix');
    await link('../source/inside.nix', 'out-and-back.nix');
    await link('.', 'a/b/here');
    await link('here/../../../../secret.nix', 'a/b/chain.nix');
    await link('nothing.nix', 'dangling.nix');
    await link('loop-b', 'loop-a');
    await link('loop-a', 'loop-b');
    await mkdir(join(tree, 'empty'));
    expect(await refusal('../secret.nix')).toBe('file "../secret.nix" contains ".."');
    expect(await refusal('a/b/../../../secret.nix')).toContain('contains ".."');
    expect(await refusal('out.nix')).toBe('file "out.nix" leaves the checkout through a symbolic link');
    expect(await refusal('absolute.nix')).toContain(
      'leaves the checkout: "absolute.nix" is a link to "/etc/passwd"',
    );
    expect(await refusal('absolute-back.nix')).toContain('leaves the checkout');
    expect(await refusal('out-and-back.nix')).toContain('leaves the checkout');
    expect(await refusal('a/b/chain.nix')).toContain('leaves the checkout');
    expect(await refusal('dangling.nix')).toBe('file "dangling.nix" is a link to nothing');
    expect(await refusal('loop-a')).toContain('a loop?');
    expect(await refusal('nothing')).toBe('file "nothing" does not exist');
    expect(await refusal('inside.nix/x')).toContain('"inside.nix" is not a directory');
    expect(await refusal('empty')).toBe('file "empty" is a directory without a default.nix');
    expect(await refusal('inside.nix\0/../../etc')).toContain('control character');
    expect(await refusal('x'.repeat(300))).toContain('too long');
    expect(await refusal('')).toContain('is empty');
  });

  it('property: nothing outside the checkout is ever reached', async () => {
    await writeFile(join(parent, 'a'), 'outside');
    await mkdir(join(parent, 'b'));
    await writeFile(join(parent, 'b', 'default.nix'), 'outside');
    const component = fc.constantFrom(
      '..',
      '.',
      'a',
      'b',
      '',
      'source',
      '%2e%2e',
      '..%2f',
      '\0',
      '..\\',
      '\u2025',
    );
    const path = fc.array(component, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
    const targets = fc.dictionary(
      fc.constantFrom('a', 'b', 'd/a', 'd/b'),
      path.filter((text) => /^[^\0]+$/.test(text)),
    );
    await fc.assert(
      fc.asyncProperty(
        targets,
        fc.oneof(path, fc.constantFrom('a', 'b', 'd/a', 'd/b')),
        async (links, file) => {
          await rm(tree, { recursive: true, force: true });
          await write('source/default.nix');
          for (const [from, target] of Object.entries(links)) await link(target, from);
          const resolved = await resolveJobFile(tree, file);
          if (resolved.kind === 'file') expect(resolved.path).toBe('source/default.nix');
        },
      ),
      { numRuns: 100 },
    );
  });
});
