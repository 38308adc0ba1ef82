import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createConfigHost, maxConfigFileBytes } from './config-host.ts';

const containing = (text: string): unknown => expect.stringContaining(text);

const host = createConfigHost();
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-config-'));
});
afterAll(() => rm(folder, { recursive: true }));

const write = async (name: string, content: string | Uint8Array, mode = 0o600): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
};

it('reads a file, without its byte order mark, and tells whether others can', async () => {
  const text = 'db_path = "/é"';
  expect(await host.readFile(await write('a', `\uFEFF${text}`))).toEqual({
    kind: 'read',
    text,
    isPublic: false,
  });
  expect(await host.readFile(await write('b', text, 0o644))).toMatchObject({ isPublic: true });
});

it('says why a file cannot be read', async () => {
  expect(await host.readFile(join(folder, 'none'))).toEqual({ kind: 'missing' });
  expect(await host.readFile(join(await write('c', ''), 'below'))).toEqual({ kind: 'missing' });
  expect(await host.readFile(folder)).toEqual({ kind: 'unreadable', message: 'is not a plain file' });
  const latin1 = await write('d', new Uint8Array([0x61, 0xe9]));
  expect(await host.readFile(latin1)).toMatchObject({ message: containing('UTF-8') });
  const large = await write('e', new Uint8Array(maxConfigFileBytes + 1));
  expect(await host.readFile(large)).toMatchObject({ message: 'is larger than 1 MiB' });
});

it('knows a directory from what is none', async () => {
  expect(await host.isDirectory(folder)).toBe(true);
  expect(await host.isDirectory(await write('f', ''))).toBe(false);
  expect(await host.isDirectory(join(folder, 'none'))).toBe(false);
});
