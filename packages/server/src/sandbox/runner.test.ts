import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { StorePath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DiskBounds, defaultDiskBounds } from './disk-watch.ts';
import { serveRunner } from './runner.ts';
import {
  encodeFrame,
  type Frame,
  type FrameKind,
  RunnerAnswer,
  type RunnerRequest,
  readFrames,
} from './runner-protocol.ts';
import { testLimits } from './sandbox.contract.ts';
import { readTree } from './tree.ts';
import { receiveTree, sendTree } from './tree-stream.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-runner-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Of its form, and not there. */
const inStore = `/nix/store/${'0'.repeat(32)}-nothing`;

const request = (asked: Partial<RunnerRequest> = {}): Buffer =>
  encodeFrame(
    'request',
    Buffer.from(
      JSON.stringify({
        version: 2,
        kind: 'run',
        command: ['sh', '-c', 'ls -A'],
        env: { PATH: process.env['PATH'] },
        allowNetwork: false,
        limits: testLimits,
        storePaths: [],
        tree: null,
        ...asked,
      }),
    ),
  );

const frame = (kind: FrameKind, text = ''): Buffer => encodeFrame(kind, Buffer.from(text, 'latin1'));

interface Served {
  readonly answer: RunnerAnswer['result'] | null;
  readonly output: string;
  readonly bounds: readonly string[];
}

interface Serving {
  readonly isClosed?: boolean;
  readonly searchPath?: string;
  readonly disk?: DiskBounds;
}

/** A runner in this process, and what it says to these bytes. The input stays open unless `isClosed`. */
const serve = async (bytes: readonly Buffer[], options: Serving = {}): Promise<Served> => {
  const { isClosed = false, searchPath = process.env['PATH'] ?? '', disk } = options;
  const [input, output] = [new PassThrough(), new PassThrough()];
  for (const each of bytes) input.write(each);
  if (isClosed) input.end();
  const host = { input, output, folder: join(folder, 'copies'), searchPath };
  const served = serveRunner(disk === undefined ? host : { ...host, disk });
  const said: Served[] = [];
  let text = '';
  for await (const { kind, body } of readFrames(output)) {
    if (kind === 'output') text += body.toString();
    else {
      input.end();
      const { result, bounds } = RunnerAnswer.parse(JSON.parse(body.toString()));
      said.push({ answer: result, output: text, bounds });
    }
  }
  await served;
  expect(readdirSync(folder)).toEqual(expect.not.arrayContaining(['outside']));
  if (existsSync(host.folder)) expect(readdirSync(host.folder)).toEqual([]);
  return said[0] ?? { answer: null, output: text, bounds: [] };
};

describe('a runner', () => {
  it('takes a tree over the wire', async () => {
    const tree = [
      frame('folder', 'a'),
      frame('program', 'a/b'),
      frame('content', '#!/bin/sh\necho '),
      frame('content', 'b\n'),
      frame('link', 'c\0a/b'),
    ];
    const run = request({ command: ['sh', '-c', './c; ls -F'] });
    const { answer, output } = await serve([run, ...tree, frame('treeEnd')]);
    expect(answer).toMatchObject({ kind: 'ended', status: 0 });
    expect(output).toBe('b\na/\nc@\n');
  });

  it.each([
    ['a name that leads up', [frame('file', '../outside')]],
    ['a path that leads up', [frame('folder', 'a'), frame('file', 'a/../../outside')]],
    ['an absolute path', [frame('file', '/tmp/outside')]],
    ['a way through a link', [frame('link', `up\0${tmpdir()}`), frame('file', 'up/outside')]],
    [
      'a folder that is a link',
      [frame('link', 'up\0..'), frame('folder', 'up'), frame('file', 'up/outside')],
    ],
    ['a file over a link', [frame('link', 'up\0../outside'), frame('file', 'up')]],
    ['no name', [frame('file', '')]],
    ['the folder itself', [frame('folder', '.')]],
    ['a name with an end', [frame('file', 'a\0b')]],
    ['content of nothing', [frame('content', 'text')]],
    ['a second request', [request()]],
  ])('refuses a tree with %s', async (_name, frames) => {
    const { answer, output } = await serve([request(), ...frames, frame('treeEnd')]);
    expect(answer).toMatchObject({ kind: 'refused' });
    expect(output).toBe('');
  });

  it.each([
    ['nothing', []],
    ['half a frame', [request().subarray(0, 20)]],
    ['no frame', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['a request of another kind', [frame('request', '{"version":2,"kind":"other"}')]],
    ['a request that is no JSON', [frame('request', '{')]],
    ['the whole machine as a path of the store', [request({ storePaths: ['/' as StorePath] })]],
    ['a whole store as a path of it', [request({ storePaths: ['/nix/store' as StorePath] })]],
    ['a file in a path of the store', [request({ storePaths: [`${inStore}/bin` as StorePath] })]],
    [
      'a way up from the store',
      [request({ storePaths: [`/nix/store/../${basename(inStore)}` as StorePath] })],
    ],
    ['what is not in the store', [request({ storePaths: [inStore as StorePath] }), frame('treeEnd')]],
    ['a tree without an end', [request(), frame('file', 'a')]],
  ])('refuses %s', async (_name, bytes) => {
    expect((await serve(bytes, { isClosed: true })).answer).toMatchObject({ kind: 'refused' });
  });

  it.each([
    ['older', 1],
    ['newer', 3],
  ])('says that a server is %s', async (which, version) => {
    const { answer } = await serve([frame('request', JSON.stringify({ version }))], { isClosed: true });
    expect(answer).toEqual({
      kind: 'refused',
      why: expect.stringContaining(
        `the server is ${which} (protocol ${version} and not 2): install`,
      ) as unknown,
    });
  });

  it.each([
    ['a tree of more files', { maxFiles: 2 }, 'more than 2 files'],
    ['a larger tree', { maxTreeMib: 1 }, 'larger than 1 MiB'],
  ])('refuses %s than there may be', async (_name, bound, why) => {
    const tree = ['a', 'b', 'c'].flatMap((name) => [
      frame('file', name),
      frame('content', ' '.repeat(400_000)),
    ]);
    const disk = { ...defaultDiskBounds, ...bound };
    const { answer } = await serve([request(), ...tree, frame('treeEnd')], { disk });
    expect(answer).toEqual({ kind: 'refused', why: expect.stringContaining(why) as unknown });
  });

  it('does not wait for who is left of a bubblewrap that failed', async () => {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    // As where it may not map users: its child goes on waiting, with our pipe open.
    const script = '#!/bin/sh\nsleep 1000 &\necho "No permissions to create a new namespace" >&2\nexit 1\n';
    writeFileSync(join(bin, 'bwrap'), script, { mode: 0o755 });
    const searchPath = `${bin}:${process.env['PATH']}`;
    const { answer } = await serve([request(), frame('treeEnd')], { searchPath });
    expect(answer).toEqual({ kind: 'refused', why: 'No permissions to create a new namespace' });
  });

  it('is cancelled by the end of its input', async () => {
    const run = request({ command: ['sleep', '1000'] });
    expect((await serve([run, frame('treeEnd')], { isClosed: true })).answer).toMatchObject({
      kind: 'cancelled',
    });
  });

  it('says what nobody counts', async () => {
    const { bounds } = await serve([request(), frame('treeEnd')]);
    expect(bounds.join('\n')).toMatch(/kernel.*sockets, inodes, System V segments.*control group/);
  });

  const small: DiskBounds = { maxTreeMib: 8, maxFiles: 200, minFreeMib: 1 };
  const fill = 'head -c 50000000 /dev/zero';
  /** The last of the shell's own folders has no path that the system takes. */
  const deep = `n=$(printf '%0250d' 0); i=0; while [ $i -lt 20 ]; do mkdir $n; cd -P $n; i=$((i+1)); done`;
  it.each([
    ['bytes', 'i=0; while :; do head -c 1048576 /dev/zero > f$i; i=$((i+1)); done', small],
    ['files', 'i=0; while :; do mkdir d$i; i=$((i+1)); done', small],
    ['what the disk has left', 'sleep 1000', { ...small, minFreeMib: 2 ** 40 }],
    ['a name in no encoding', `d=$(printf 'a\\377'); mkdir "$d"; ${fill} > "$d/big"; sleep 5`, small],
    ['a folder too deep to look into', `${deep}; ${fill} > big; sleep 5`, small],
    ['a file without a name', `exec 5> big; rm big; ${fill} >&5; sleep 5`, small],
  ])('ends what fills the disk: %s', async (_name, script, disk) => {
    const { answer } = await serve([request({ command: ['sh', '-c', script] }), frame('treeEnd')], { disk });
    expect(answer).toMatchObject({ kind: 'disk-limit' });
  });
});

describe('a tree as frames', () => {
  it('arrives as it was, whatever its names are made of', async () => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    mkdirSync(join(from, 'a', 'b'), { recursive: true });
    writeFileSync(join(from, 'a', 'b', 'large'), Buffer.alloc(700_000, 'x'));
    writeFileSync(join(from, 'empty'), '');
    writeFileSync(join(from, 'program'), 'run', { mode: 0o755 });
    writeFileSync(Buffer.from(`${from}/\xff\xfe\n"'`, 'latin1'), 'odd');
    symlinkSync(Buffer.from('/nowhere/\xff', 'latin1'), join(from, 'link'));
    const wire = new PassThrough();
    const signal = new AbortController().signal;
    await Promise.all([sendTree(wire, from, signal), receiveTree(readFrames(wire), to, defaultDiskBounds)]);
    const entries = async (root: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const entry of readTree(root)) found.push(JSON.stringify(entry));
      return found.toSorted();
    };
    expect(await entries(to)).toEqual(await entries(from));
    expect(readlinkSync(join(to, 'link'), { encoding: 'latin1' })).toBe('/nowhere/\xff');
  });

  it('is read the same however the bytes come', async () => {
    const kinds = fc.constantFrom<FrameKind>('folder', 'file', 'content', 'treeEnd', 'output');
    const frames = fc.array(fc.record({ kind: kinds, body: fc.uint8Array({ maxLength: 40 }) }), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(frames, fc.integer({ min: 1, max: 20 }), async (sent, size) => {
        const bytes = Buffer.concat(sent.map(({ kind, body }) => encodeFrame(kind, body)));
        const wire = new PassThrough();
        for (let at = 0; at < bytes.length; at += size) wire.write(bytes.subarray(at, at + size));
        wire.end();
        const got: Frame[] = [];
        for await (const one of readFrames(wire)) got.push(one);
        expect(got).toEqual(sent.map(({ kind, body }) => ({ kind, body: Buffer.from(body) })));
      }),
    );
  });
});
