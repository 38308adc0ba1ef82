// The fake as a process: options on one line of standard input, where it listens on one line of standard output. It
// ends when its input does, so with whoever started it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { startServer } from './server.ts';

const Options = z.object({
  port: z.int().default(0),
  apiPrefix: z.enum(['', '/api/v3']).default(''),
  webhookTimeoutMs: z.number().default(10_000),
});

const folder = await mkdtemp(join(tmpdir(), 'fake-github-'));
const lines = createInterface({ input: process.stdin });
const ended = new Promise<void>((resolve) => {
  lines.once('close', resolve);
  // Not once: the kernel may tell of an owner's death more than once, and the second signal would end us half way.
  process.on('SIGTERM', resolve);
  process.on('SIGINT', resolve);
});
const first = new Promise<string>((resolve) => lines.once('line', resolve));
const written = await Promise.race([first, ended]);

if (written !== undefined) {
  const options = Options.parse(JSON.parse(written));
  const searchPath = process.env['PATH'] ?? '';
  const server = await startServer({ ...options, folder, searchPath });
  process.stdout.write(`${JSON.stringify({ url: server.url, folder })}\n`);
  await ended;
  await server.close();
}
await rm(folder, { recursive: true, force: true });
process.exit(0);
