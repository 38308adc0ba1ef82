// What operators ask of the server itself, over a real socket: draining, and a copy of the database.
import { readdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { ErrorBody } from '@eka-ci/protocol/error';
import { afterEach, expect, it } from 'vitest';
import { DatabaseError } from '../database/database-error.ts';
import { type Listening, listen } from './listen.ts';
import { getJson, getRefusal } from './testing/inject.ts';
import { type Served, serve } from './testing/served.ts';

let served: Served;
let listening: Listening;
afterEach(async () => {
  await listening.close();
  await served.close();
});

const open = async (more: Parameters<typeof serve>[0] = {}): Promise<string> => {
  served = await serve(more);
  const path = join(served.folder, 'socket');
  listening = await listen(served.app, { tcp: null, socket: { path, mode: 0o600 }, closeTimeoutMs: 100 });
  return path;
};

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly type: string | undefined;
}

const send = (socketPath: string, method: 'POST' | 'DELETE', path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path }, (answer) => {
      const { statusCode: status = 0, headers } = answer;
      buffer(answer).then((body) => resolve({ status, body, type: headers['content-type'] }), reject);
    });
    sent.once('error', reject);
    sent.end();
  });

const codeOf = ({ body }: Answer): string => ErrorBody.parse(JSON.parse(body.toString())).error.code;

it('drains and works again, for operators alone', async () => {
  const socket = await open();
  const state = { draining: true, dry: true };
  expect(JSON.parse((await send(socket, 'POST', '/v1/drain')).body.toString())).toEqual(state);
  expect(await getJson(served.app, '/v1/drain')).toEqual(state);
  const over = await getRefusal(served.app, '/v1/drain', { method: 'POST' });
  expect(over).toMatchObject({ status: 401, code: 'SIGN_IN_REQUIRED' });
  expect((await send(socket, 'DELETE', '/v1/drain')).status).toBe(200);
  expect(await getJson(served.app, '/v1/drain')).toEqual({ draining: false, dry: false });
  served.setReady(false);
  expect(codeOf(await send(socket, 'POST', '/v1/drain'))).toBe('SERVER_NOT_READY');
});

it('sends one copy of the database at a time, and leaves none behind', async () => {
  const socket = await open();
  const before = await readdir(served.folder);
  const [first, second] = await Promise.all([
    send(socket, 'POST', '/v1/backup'),
    send(socket, 'POST', '/v1/backup'),
  ]);
  const [sent, refused] = first.status === 200 ? [first, second] : [second, first];
  expect(sent).toMatchObject({ status: 200, type: 'application/vnd.sqlite3' });
  expect(sent.body.subarray(0, 15).toString()).toBe('SQLite format 3');
  expect([refused.status, codeOf(refused)]).toEqual([409, 'BACKUP_RUNNING']);
  expect(await readdir(served.folder)).toEqual(before);
  expect((await send(socket, 'POST', '/v1/backup')).status).toBe(200);
});

it('says when there is no room for a copy, and leaves nothing of it', async () => {
  const socket = await open();
  const before = await readdir(served.folder);
  await listening.close();
  await served.close();
  const { upkeep } = served.deps;
  const full = await open({
    upkeep: {
      ...upkeep,
      backup: {
        get folder() {
          return served.folder;
        },
        write: async (path) => {
          await writeFile(path, 'half');
          throw new DatabaseError('DATABASE_FULL', 'no room');
        },
      },
    },
  });
  expect(full).not.toBe(socket);
  const answer = await send(full, 'POST', '/v1/backup');
  expect([answer.status, codeOf(answer)]).toEqual([507, 'BACKUP_NO_ROOM']);
  expect(await readdir(served.folder)).toEqual(before);
});
