// The runner: takes one request from the server, runs it in bubblewrap, and answers. It is a process of its own, the
// server's child or a unit of its own user, so that nothing of the server's is near what it runs.
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { filteredArchitecture, findProgram, seccompFilter, withFilter } from '@eka-ci/process';
import { z } from 'zod';
import { createWorkFolder, removeTree, type WorkFolder } from '../lib/work-folder.ts';
import { bubblewrapArguments, homeInside } from './bubblewrap-arguments.ts';
import { runConfined } from './confined-run.ts';
import { describeControlGroup } from './control-group.ts';
import { type DiskBounds, defaultDiskBounds, watchDisk } from './disk-watch.ts';
import { createOutputPipe } from './output-pipe.ts';
import {
  type Frame,
  type RunnerAnswer,
  RunnerProtocolError,
  RunnerRequest,
  readFrames,
  writeFrame,
} from './runner-protocol.ts';
import type { SandboxResult } from './sandbox.ts';
import { chooseSandboxUser, type SandboxUser } from './sandbox-user.ts';
import { copyTree, giveTree } from './tree.ts';
import { receiveTree } from './tree-stream.ts';

export interface RunnerHost {
  readonly input: Readable;
  readonly output: Writable;
  /** Parent of the copies of trees. */
  readonly folder: string;
  /** Where bwrap is looked for. */
  readonly searchPath: string;
  readonly disk?: DiskBounds;
}

/**
 * What is the same for every run on this machine, in words for its log. And what is not bounded: no file of /proc says
 * how much memory the kernel holds for a process, so that only a control group counts it.
 */
const describeBounds = (): string[] => [
  'system calls by a filter',
  'processor time, memory, files and number of each process by limits of the kernel',
  // Not every kernel lists the children of a process.
  existsSync(`/proc/self/task/${process.pid}/children`)
    ? 'memory, processor time and number of all processes together by looking every 100 ms'
    : 'nothing bounds all processes together: this kernel does not say which there are',
  'memory that the kernel holds for them (sockets, inodes, System V segments) by nothing but a control group',
  ...describeControlGroup(),
];

/** The files that bubblewrap is given beside the tree. */
const writePlace = async (work: WorkFolder, { id }: SandboxUser) => {
  const inWork = (name: string): string => join(work.path, name);
  const place = {
    tree: inWork('tree'),
    passwd: inWork('passwd'),
    group: inWork('group'),
    filter: inWork('filter'),
  };
  const architecture = filteredArchitecture();
  if (architecture === null) return null;
  await writeFile(place.passwd, `check:x:${id}:${id}:check:${homeInside}:/bin/sh\n`);
  await writeFile(place.group, `check:x:${id}:\n`);
  // Whatever the unit's umask is: root's command is another user.
  for (const file of [place.passwd, place.group]) await chmod(file, 0o644);
  await writeFile(place.filter, seccompFilter(architecture, { denyHiddenMemory: true }));
  return place;
};

const refused = (why: string): SandboxResult => ({ kind: 'refused', why });

interface Run {
  readonly request: RunnerRequest;
  readonly frames: AsyncGenerator<Frame>;
  readonly work: WorkFolder;
  readonly signal: AbortSignal;
  /** From now on the server has nothing to say but that it has gone. */
  readonly onTree: () => void;
}

const runRequest = async ({ output, searchPath, disk }: RunnerHost, run: Run): Promise<SandboxResult> => {
  const { request, signal } = run;
  const bwrap = findProgram('bwrap', searchPath);
  if (bwrap === null) return refused('bubblewrap (bwrap) is not installed');
  const user = chooseSandboxUser(searchPath);
  if (user === null) return refused('root needs setpriv (util-linux) to run a check as somebody else');
  const place = await writePlace(run.work, user);
  if (place === null) return refused(`there is no filter of system calls for ${process.arch}`);
  if (request.tree === null) await receiveTree(run.frames, place.tree);
  run.onTree();
  if (request.tree !== null) await copyTree(request.tree, place.tree, signal);
  if (user.treeOwner !== null) await giveTree(place.tree, user.treeOwner);
  const { allowNetwork, storeDirs, limits } = request;
  const { maxMemoryMib } = limits;
  const args = bubblewrapArguments({ ...place, user, storeDirs, allowNetwork, maxMemoryMib });
  const watched = await watchDisk(place.tree, disk ?? defaultDiskBounds);
  const pipe = await createOutputPipe(join(run.work.path, 'output'), searchPath);
  const wrapper = [
    ...withFilter({ filter: place.filter, output: pipe.path }, [bwrap, ...args]),
    '--',
    ...user.becoming,
  ];
  const onOutput = (chunk: Buffer): Promise<void> => writeFrame(output, 'output', chunk);
  try {
    return await runConfined({ wrapper, pipe, asked: request, disk: watched, onOutput }, signal);
  } finally {
    pipe.closeOurs();
    pipe.stream.destroy();
  }
};

/** Aborts when the server closes its side, or says something where it has nothing to say. */
const cancelAtEnd = (frames: AsyncGenerator<Frame>, cancel: AbortController): void => {
  const onEnd = (): void => cancel.abort();
  frames.next().then(onEnd, onEnd);
};

const readRequest = async (frames: AsyncGenerator<Frame>): Promise<RunnerRequest> => {
  const first = await frames.next();
  if (first.done === true || first.value.kind !== 'request') throw new RunnerProtocolError('no request came');
  const request = RunnerRequest.safeParse(JSON.parse(first.value.body.toString('utf8')));
  if (!request.success) throw new RunnerProtocolError(z.prettifyError(request.error));
  return request.data;
};

const serveRequest = async (host: RunnerHost, frames: AsyncGenerator<Frame>): Promise<SandboxResult> => {
  const request = await readRequest(frames);
  const cancel = new AbortController();
  await mkdir(host.folder, { recursive: true, mode: 0o700 });
  const work = await createWorkFolder('check-', host.folder);
  try {
    const run = { request, frames, work, signal: cancel.signal, onTree: () => cancelAtEnd(frames, cancel) };
    return await runRequest(host, run);
  } catch (error) {
    if (cancel.signal.aborted) return { kind: 'cancelled', durationMs: 0 };
    throw error;
  } finally {
    await removeTree(work.path);
  }
};

/** How long the server may take to close its side once it has the answer. */
const farewellMs = 5000;

/** The rest of a tree that was refused: closing over what nobody read would cost the server the answer. */
const readToEnd = async (frames: AsyncGenerator<Frame>): Promise<void> => {
  while ((await frames.next()).done !== true);
};

/** Serves one request. What goes wrong is the answer; it never rejects. */
export const serveRunner = async (host: RunnerHost): Promise<void> => {
  const frames = readFrames(host.input);
  const result = await serveRequest(host, frames).catch((error: unknown) =>
    refused(error instanceof Error ? error.message : String(error)),
  );
  const answer: RunnerAnswer = { result, bounds: describeBounds() };
  try {
    await writeFrame(host.output, 'answer', JSON.stringify(answer));
    host.output.end();
    await Promise.race([readToEnd(frames), sleep(farewellMs, undefined, { ref: false })]);
  } catch {
    // Whoever asked has gone: nobody is left to tell.
  }
  host.output.destroy();
  host.input.destroy();
};
