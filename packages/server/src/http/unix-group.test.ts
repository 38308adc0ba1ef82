// The socket's group: by name or number, with a folder that lets it in, and words for what cannot be.
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bindUnixSocket, type UnixSocketOptions } from './unix-socket.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-group-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const bound = async (options: UnixSocketOptions, check: () => Promise<void>): Promise<void> => {
  const server = createServer();
  try {
    await bindUnixSocket(server, options);
    await check();
  } finally {
    server.close();
  }
};

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

/** A group that this process may give things to: by its number, and by its name. */
const ownGroup = async (): Promise<{ readonly number: number; readonly name: string }> => {
  // Root may give to any; another user to those it is in.
  const number = process.getuid?.() === 0 ? 1 : (process.getgid?.() ?? 0);
  const groups = (await readFile('/etc/group', 'utf8')).split('\n').map((line) => line.split(':'));
  return { number, name: groups.find(([, , id]) => id === String(number))?.[0] ?? String(number) };
};

it('gets the socket, and the folders that are made for it, but no others', async () => {
  const { number, name } = await ownGroup();
  for (const group of [name, String(number)]) {
    const path = join(folder, group, 'deeper', 'ekaci.socket');
    await bound({ path, mode: 0o660, group }, async () => {
      expect(await stat(path)).toMatchObject({ gid: number });
      expect(await modeOf(path)).toBe('660');
      for (const made of [join(folder, group), join(folder, group, 'deeper')]) {
        expect(await stat(made)).toMatchObject({ gid: number });
        expect(await modeOf(made)).toBe('750');
      }
      expect(await modeOf(folder)).toBe('700');
    });
  }
  const there = join(folder, 'there');
  await mkdir(there, { mode: 0o700 });
  await bound({ path: join(there, 'ekaci.socket'), mode: 0o660, group: name }, async () => {
    expect(await modeOf(there)).toBe('700');
  });
});

it('is named where there is none, with what to do', async () => {
  const binding = bindUnixSocket(createServer(), {
    path: join(folder, 's'),
    mode: 0o660,
    group: 'no-such-group',
  });
  await expect(binding).rejects.toMatchObject({ code: 'LISTEN_SOCKET_GROUP' });
  await expect(binding).rejects.toThrow(/no group no-such-group: make it .* or set unix\.socket_group/);
});
