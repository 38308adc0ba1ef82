// The binary cache that pushes.ts pushes to, and kills: files in a folder, and a line in a ledger for each that it has taken.
// Arguments: the folder, the port or 0.
import {
  appendFileSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const [, , folder = '', port = '0'] = process.argv;

/** Of what is below the folder, and nothing else. */
const fileOf = (url: string): string | null =>
  /^\/[\w.+?=/-]*$/.test(url) && !url.includes('..') ? join(folder, url) : null;

const ledger = join(folder, 'ledger');

/** What an earlier life took, and was killed before it could write that down. */
const catchUp = (): void => {
  const lines = new Set(readFileSync(ledger, 'utf8').split('\n'));
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.narinfo') && !lines.has(`/${name}`)) appendFileSync(ledger, `/${name}\n`);
  }
};

let uploads = 0;

const server = createServer((request, response) => {
  const file = fileOf(request.url ?? '');
  const answer = (status: number): void => {
    response.writeHead(status);
    response.end();
  };
  if (file === null) return answer(400);
  if (request.method === 'PUT') {
    const partial = join(folder, `.upload-${process.pid}-${uploads++}`);
    pipeline(request, createWriteStream(partial)).then(
      () => {
        mkdirSync(dirname(file), { recursive: true });
        renameSync(partial, file);
        appendFileSync(ledger, `${request.url}\n`);
        answer(204);
      },
      () => rmSync(partial, { force: true }),
    );
    return;
  }
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return answer(404);
  response.writeHead(200, { 'content-length': size });
  if (request.method === 'HEAD') return void response.end();
  createReadStream(file).pipe(response);
});

catchUp();
server.listen(Number(port), '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
