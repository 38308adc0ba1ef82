// The runner: takes one request from the server, runs or evaluates it in bubblewrap, and answers. It is a process of its
// own, the server's child or a unit of its own user, so that nothing of the server's is near what it runs.
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
import { makeRunGroup } from './control-group-run.ts';
import { type DiskBounds, defaultDiskBounds, watchDisk } from './disk-watch.ts';
import { type EvaluationAnswer, EvaluationAsked } from './evaluation-protocol.ts';
import type { HeldEvaluation } from './evaluation-runner.ts';
import { createOutputPipe } from './output-pipe.ts';
import { describeBounds } from './run-bounds.ts';
import {
  type Frame,
  parseMessage,
  protocolVersion,
  type RunnerAnswer,
  RunnerProtocolError,
  RunnerRequest,
  readFrames,
  writeFrame,
} from './runner-protocol.ts';
import type { SandboxResult } from './sandbox.ts';
import { chooseSandboxUser, type SandboxUser } from './sandbox-user.ts';
import { makeStoreView } from './store-view.ts';
import { copyTree, giveTree } from './tree.ts';
import { receiveTree } from './tree-stream.ts';

export interface RunnerHost {
  readonly input: Readable;
  readonly output: Writable;
  /** Parent of the copies of trees. */
  readonly folder: string;
  /** Where bwrap is looked for. */
  readonly searchPath: string;
  /** By which the Nix of evaluations is found. @default the search path alone */
  readonly env?: NodeJS.ProcessEnv;
  readonly disk?: DiskBounds;
}

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

/** A result, and what held the command back. */
interface Ran {
  readonly result: SandboxResult;
  readonly bounds: readonly string[];
}

const refused = (why: string): Ran => ({ result: { kind: 'refused', why }, bounds: [] });

interface Run {
  readonly request: RunnerRequest;
  readonly frames: AsyncGenerator<Frame>;
  readonly work: WorkFolder;
  readonly signal: AbortSignal;
  /** From now on the server has nothing to say but that it has gone. */
  readonly onTree: () => void;
}

const runRequest = async ({ output, searchPath, disk }: RunnerHost, run: Run): Promise<Ran> => {
  const { request, signal } = run;
  const bwrap = findProgram('bwrap', searchPath);
  if (bwrap === null) return refused('bubblewrap (bwrap) is not installed');
  const user = chooseSandboxUser(searchPath);
  if (user === null) return refused('root needs setpriv (util-linux) to run a check as somebody else');
  const place = await writePlace(run.work, user);
  if (place === null) return refused(`there is no filter of system calls for ${process.arch}`);
  if (request.tree === null) await receiveTree(run.frames, place.tree, disk ?? defaultDiskBounds);
  run.onTree();
  if (request.tree !== null) await copyTree(request.tree, place.tree, signal);
  if (user.treeOwner !== null) await giveTree(place.tree, user.treeOwner);
  const { allowNetwork, storePaths, limits } = request;
  const { maxMemoryMib } = limits;
  const made = await makeStoreView({ storePaths, folder: join(run.work.path, 'store'), searchPath });
  if (made.kind === 'refused') return refused(made.why);
  const { shown, patienceMs, enter } = made.view;
  const args = bubblewrapArguments({ ...place, user, shown, allowNetwork, maxMemoryMib });
  const watched = await watchDisk(place.tree, disk ?? defaultDiskBounds);
  const pipe = await createOutputPipe(join(run.work.path, 'output'), searchPath);
  const confining = enter([
    ...withFilter({ filter: place.filter, output: pipe.path }, [bwrap, ...args]),
    '--',
    ...user.becoming,
  ]);
  const grouped = await makeRunGroup(limits);
  const group = grouped.kind === 'made' ? grouped.group : null;
  const wrapper = group?.enter(confining) ?? confining;
  const onOutput = (chunk: Buffer): Promise<void> => writeFrame(output, 'output', chunk);
  try {
    const confined = { wrapper, pipe, asked: request, disk: watched, patienceMs, group, onOutput };
    const result = await runConfined(confined, signal);
    return { result, bounds: describeBounds(grouped) };
  } finally {
    pipe.closeOurs();
    pipe.stream.destroy();
    await group?.remove();
  }
};

/** Aborts when the server closes its side, or says something where it has nothing to say. */
const cancelAtEnd = (frames: AsyncGenerator<Frame>, cancel: AbortController): void => {
  const onEnd = (): void => cancel.abort();
  frames.next().then(onEnd, onEnd);
};

const Request = z.discriminatedUnion('kind', [RunnerRequest, EvaluationAsked]);

const readRequest = async (frames: AsyncGenerator<Frame>): Promise<z.infer<typeof Request>> => {
  const first = await frames.next();
  if (first.done === true || first.value.kind !== 'request') throw new RunnerProtocolError('no request came');
  return parseMessage(Request, first.value.body, 'server');
};

/** What is there for one request: a folder, and the end of it all once the server goes. */
type Place = Omit<Run, 'request'>;

const openPlace = async (
  { folder }: RunnerHost,
  frames: AsyncGenerator<Frame>,
): Promise<Place & { readonly close: () => Promise<void> }> => {
  const cancel = new AbortController();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const work = await createWorkFolder('check-', folder);
  const onTree = (): void => cancelAtEnd(frames, cancel);
  return { frames, work, signal: cancel.signal, onTree, close: () => removeTree(work.path) };
};

const serveRun = async (host: RunnerHost, request: RunnerRequest, place: Place): Promise<Ran> => {
  try {
    return await runRequest(host, { ...place, request });
  } catch (error) {
    if (place.signal.aborted) return { result: { kind: 'cancelled', durationMs: 0 }, bounds: [] };
    throw error;
  }
};

const serveEvaluation = async (
  { output, searchPath, env = { PATH: searchPath }, disk = defaultDiskBounds }: RunnerHost,
  asked: EvaluationAsked,
  { work, ...place }: Place,
): Promise<HeldEvaluation> => {
  // Nothing of it is of use to a check, of which there are more.
  const { runEvaluation } = await import('./evaluation-runner.ts');
  return runEvaluation(asked, { ...place, output, env, disk, folder: work.path });
};

/** How long the server may take to close its side once it has the answer. */
const farewellMs = 5000;

/** The rest of a tree that was refused: closing over what nobody read would cost the server the answer. */
const readToEnd = async (frames: AsyncGenerator<Frame>): Promise<void> => {
  while ((await frames.next()).done !== true);
};

/** How long a server may take to root what it was told of: what it waits for itself, some times over. */
const rootingMs = 10 * 60_000;

interface Answering {
  readonly answer: RunnerAnswer | EvaluationAnswer;
  /** What the server still relies on once it has the answer; ended when it closes its side, or took too long for that. */
  readonly held: (() => Promise<void>) | null;
}

const runAnswer = (ran: Ran): Answering => ({
  answer: { version: protocolVersion, result: ran.result, bounds: [...ran.bounds] },
  held: null,
});

const evaluationAnswer = ({ end, release }: HeldEvaluation): Answering => ({
  answer: { version: protocolVersion, end, bounds: describeControlGroup() },
  held: release,
});

const serveRequest = async (host: RunnerHost, frames: AsyncGenerator<Frame>): Promise<Answering> => {
  const request = await readRequest(frames);
  const { close, ...place } = await openPlace(host, frames);
  try {
    return request.kind === 'run'
      ? runAnswer(await serveRun(host, request, place))
      : evaluationAnswer(await serveEvaluation(host, request, place));
  } finally {
    await close();
  }
};

/** Serves one request. What goes wrong is the answer; it never rejects. */
export const serveRunner = async (host: RunnerHost): Promise<void> => {
  const frames = readFrames(host.input);
  const { answer, held } = await serveRequest(host, frames).catch((error: unknown) =>
    runAnswer(refused(error instanceof Error ? error.message : String(error))),
  );
  try {
    await writeFrame(host.output, 'answer', JSON.stringify(answer));
    // The end of our side ends the server's, which says by it that it relies on nothing any more.
    if (held === null) host.output.end();
    const patienceMs = held === null ? farewellMs : rootingMs;
    await Promise.race([readToEnd(frames), sleep(patienceMs, undefined, { ref: false })]);
  } catch {
    // Whoever asked has gone: nobody is left to tell.
  }
  await held?.();
  host.output.destroy();
  host.input.destroy();
};
