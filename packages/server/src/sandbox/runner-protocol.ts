// What the server and a sandbox's runner say to each other: frames in both directions. Closing the server's side before
// the answer cancels what was asked for. A connection carries one request: a run, or an evaluation
// (evaluation-protocol.ts).
import type { Readable, Writable } from 'node:stream';
import type { StorePath } from '@eka-ci/core/ids';
import { storePathFault } from '@eka-ci/nix/store-path';
import { z } from 'zod';

/** Both sides must have the same one: they are installed together. */
export const protocolVersion = 2 as const;

const count = z.int().positive();

/** Absolute, never the root itself, without `.` and `..`. */
const plainPath = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/;

const isStorePath = (text: string): text is StorePath =>
  plainPath.test(text) && storePathFault(text, text.slice(0, text.lastIndexOf('/'))) === null;

/** Below whatever folder: of which store it is, the runner cannot know. By their names alone none of the machine's own files are meant. */
const storePath = z.string().refine(isStorePath, 'is no path of a store');

/** The kernel has no more mounts in one place. */
const mostStorePaths = 100_000;

export const RunnerRequest = z.strictObject({
  version: z.literal(protocolVersion),
  kind: z.literal('run'),
  command: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()),
  allowNetwork: z.boolean(),
  limits: z.strictObject({
    timeoutMs: count,
    maxMemoryMib: count,
    maxCpuSeconds: count,
    maxProcesses: count,
    maxOutputMib: count,
  }),
  storePaths: z.array(storePath).max(mostStorePaths),
  /** A folder that both see, or null: it follows, entry by entry. */
  tree: z.string().startsWith('/').nullable(),
});
export type RunnerRequest = z.infer<typeof RunnerRequest>;

const durationMs = z.number().nonnegative();

/** For the log: what holds back what is run there. */
export const Bounds = z.array(z.string().max(1000)).max(100);

export const RunnerAnswer = z.strictObject({
  version: z.literal(protocolVersion),
  result: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('ended'), status: z.int(), durationMs }),
    z.strictObject({ kind: z.literal('signalled'), signal: z.string(), durationMs }),
    z.strictObject({
      kind: z.enum([
        'timed-out',
        'output-limit',
        'out-of-memory',
        'disk-limit',
        'process-limit',
        'cancelled',
      ]),
      durationMs,
    }),
    z.strictObject({ kind: z.literal('refused'), why: z.string() }),
  ]),
  bounds: Bounds,
});
export type RunnerAnswer = z.infer<typeof RunnerAnswer>;

/**
 * One letter each. To the runner: request, folder, file, program (a file that may be run), content, link, end of tree. From
 * it: output of a run, event of an evaluation, and at last the answer.
 */
const letters = {
  request: 'r',
  folder: 'd',
  file: 'f',
  program: 'x',
  content: 'c',
  link: 'l',
  treeEnd: 'e',
  output: 'o',
  event: 'v',
  answer: 'z',
} as const;

export type FrameKind = keyof typeof letters;

export interface Frame {
  readonly kind: FrameKind;
  readonly body: Buffer;
}

/** What is wrong may be said of each of a million parts. */
const longestDetail = 1000;

/** Thrown for bytes that are no frame, and for a stream that ends within one. */
export class RunnerProtocolError extends Error {
  readonly code = 'SANDBOX_PROTOCOL';
  constructor(message: string) {
    const detail = message.slice(0, longestDetail).toWellFormed();
    super(`the sandbox's runner and the server do not understand each other: ${detail}`);
    this.name = 'RunnerProtocolError';
  }
}

const Versioned = z.looseObject({ version: z.int() });

const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new RunnerProtocolError('that is no JSON');
  }
};

/** A refusal in words is the largest. To take apart what is larger would keep everybody else on the server waiting. */
const maxAnswerBytes = 1024 * 1024;

/**
 * A request or an answer.
 * @param from whose it is
 * @throws RunnerProtocolError, which says who is older where they have different versions
 */
export const parseMessage = <Message>(
  schema: z.ZodType<Message>,
  body: Buffer,
  from: 'server' | 'runner',
): Message => {
  if (from === 'runner' && body.length > maxAnswerBytes)
    throw new RunnerProtocolError(`an answer has ${body.length} bytes`);
  const json = parseJson(body);
  // The answers of the first version had no number.
  const version = Versioned.safeParse(json).data?.version ?? 1;
  if (version !== protocolVersion) {
    const which = `the ${from} is ${version < protocolVersion ? 'older' : 'newer'}`;
    throw new RunnerProtocolError(
      `${which} (protocol ${version} and not ${protocolVersion}): install the same version of EkaCI for both and restart the server`,
    );
  }
  const message = schema.safeParse(json);
  if (!message.success) throw new RunnerProtocolError(z.prettifyError(message.error));
  return message.data;
};

/** An environment of some megabytes is in one request. */
const maxFrameBytes = 32 * 1024 * 1024;
const headBytes = 5;
const kinds = new Map(
  Object.entries(letters).map(([kind, letter]) => [letter.charCodeAt(0), kind as FrameKind]),
);

/** Letter, length in four bytes (big endian), body. */
export const encodeFrame = (kind: FrameKind, body: Uint8Array): Buffer => {
  if (body.length > maxFrameBytes) throw new RunnerProtocolError(`${kind} has ${body.length} bytes`);
  const head = Buffer.alloc(headBytes);
  head.write(letters[kind], 0, 'latin1');
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
};

/** Waits while the other side does not read. @throws system errors of the stream */
export const writeFrame = async (
  stream: Writable,
  kind: FrameKind,
  body: Uint8Array | string,
): Promise<void> => {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  await new Promise<void>((resolve, reject) => {
    stream.write(encodeFrame(kind, bytes), (error) => (error ? reject(error) : resolve()));
  });
};

/** Ends with the stream. @throws RunnerProtocolError */
export async function* readFrames(stream: Readable): AsyncGenerator<Frame> {
  let parts: Buffer[] = [];
  let have = 0;
  let want = headBytes;
  let kind: FrameKind | null = null;
  for await (const chunk of stream) {
    parts.push(chunk as Buffer);
    have += (chunk as Buffer).length;
    while (have >= want) {
      const bytes = parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts);
      const [taken, rest] = [bytes.subarray(0, want), bytes.subarray(want)];
      [parts, have] = [[rest], rest.length];
      if (kind === null) {
        kind = kinds.get(taken[0] ?? 0) ?? null;
        want = taken.readUInt32BE(1);
        if (kind === null || want > maxFrameBytes) throw new RunnerProtocolError('that is no frame');
      } else {
        yield { kind, body: taken };
        [kind, want] = [null, headBytes];
      }
    }
  }
  if (have > 0 || kind !== null) throw new RunnerProtocolError('it ended in the middle');
}
