// The number of a group of this machine.
import { readFile } from 'node:fs/promises';
import { runChild } from '@eka-ci/process';
import { ListenError } from './listen-error.ts';

/** `name:password:number:members`, as group(5) has it; null where the line is another group's. */
const numberIn = (line: string, name: string): number | null => {
  const [found, , number = ''] = line.split(':');
  return found === name && /^\d+$/.test(number) ? Number(number) : null;
};

const findIn = (text: string, name: string): number | null => {
  for (const line of text.split('\n')) {
    const number = numberIn(line, name);
    if (number !== null) return number;
  }
  return null;
};

/** Groups that are not in the file: of LDAP, say. No such program, no such group. */
const askSystem = async (name: string): Promise<string> => {
  const env = { PATH: process.env['PATH'] ?? '' };
  try {
    return (await runChild({ command: 'getent', args: ['--', 'group', name], env, timeoutMs: 10_000 }))
      .stdout;
  } catch {
    return '';
  }
};

/** @throws ListenError LISTEN_SOCKET_GROUP where there is no such group */
export const findGroup = async (name: string): Promise<number> => {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  const file = await readFile('/etc/group', 'utf8').catch(() => '');
  const number = findIn(file, name) ?? findIn(await askSystem(name), name);
  if (number !== null) return number;
  throw new ListenError(
    'LISTEN_SOCKET_GROUP',
    `this machine has no group ${name}: make it ("groupadd ${name}"), or set unix.socket_group to one that it has`,
  );
};
