// A driver of the evaluator's port whose work a sandbox's runner does: one connection for each evaluation. The server keeps
// what it must answer for: time, what it believes, and the lasting roots.
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import type {
  EvaluationEnd,
  EvaluationEvent,
  EvaluationRequest,
  Evaluator,
} from '@eka-ci/nix/evaluator/evaluator';
import { createStop, endFailed, endRooted, timeoutFailure } from '@eka-ci/nix/evaluator/preparation';
import {
  createProcessRooting,
  createRootKeeper,
  type RootKeeper,
  type RootPaths,
} from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { z } from 'zod';
import { errorCodeOf } from '../lib/error-code.ts';
import { EvaluationAnswer, type EvaluationAsked, type RunnerEnd } from './evaluation-protocol.ts';
import { isRefusedWrite, type RunnerConnection } from './runner-client.ts';
import {
  type Frame,
  parseMessage,
  protocolVersion,
  RunnerAnswer,
  RunnerProtocolError,
  readFrames,
  writeFrame,
} from './runner-protocol.ts';
import { createToldEvaluation, type ToldEvaluation } from './told-evaluation.ts';
import { sendTree } from './tree-stream.ts';

export interface RunnerEvaluatorDeps {
  /** Rejects with words for an operator where there is no runner. */
  readonly connect: () => Promise<RunnerConnection>;
  /** The server's own: what is kept is rooted by it. */
  readonly nix: NixInstallation;
  /** @default by processes */
  readonly rootPaths?: RootPaths;
  /** Beyond the time of the evaluation: for the tree to arrive and the runner to end. @default two minutes */
  readonly graceMs?: number;
  /** Told once, by the first evaluation that came to an end: what holds it back where the runner is. */
  readonly onBounds?: (bounds: readonly string[]) => void;
}

const defaultGraceMs = 2 * 60_000;

const longestReason = 8000;

/** It says nothing of the code: asked again it may evaluate. */
const broken = (error: unknown): EvaluationEnd => {
  const why = error instanceof Error ? error.message : String(error);
  const message = why.slice(0, longestReason).toWellFormed();
  return endFailed({ kind: 'killed', message: `not evaluated: ${message}`, position: null });
};

const noAnswer = (request: EvaluationRequest): EvaluationEnd =>
  endFailed(timeoutFailure(request, 'the sandbox gave no answer in that time'));

/** A runner that did not understand the request answers as to a run. */
const AnyAnswer = z.union([EvaluationAnswer, RunnerAnswer]);

const endIn = (body: Buffer): { readonly end: RunnerEnd; readonly bounds: readonly string[] } => {
  const answer = parseMessage(AnyAnswer, body, 'runner');
  if ('end' in answer) return answer;
  if (answer.result.kind === 'refused') return { end: answer.result, bounds: [] };
  throw new RunnerProtocolError('the answer is none to an evaluation');
};

interface Conversation {
  readonly nix: NixInstallation;
  readonly name: Evaluator['name'];
  readonly request: EvaluationRequest;
  readonly connection: RunnerConnection;
  readonly frames: AsyncGenerator<Frame>;
  readonly told: ToldEvaluation;
  readonly roots: RootKeeper;
}

const askedOf = ({ request, nix, name }: Conversation): EvaluationAsked => {
  const { target, limits, allowImportFromDerivation, allowNetwork, sandbox } = request;
  return {
    version: protocolVersion,
    kind: 'evaluate',
    target:
      target.kind === 'file'
        ? { ...target, attrPath: [...target.attrPath] }
        : { ...target, systems: [...target.systems] },
    ...{ limits, allowImportFromDerivation, allowNetwork, sandbox },
    nix: { version: nix.version, storeDir: nix.storeDir, evaluator: name },
  };
};

/** Resolves with what kept it from all being sent, where that is our own fault. */
const send = async (
  conversation: Conversation,
  signal: AbortSignal,
): Promise<{ readonly fault: unknown } | null> => {
  const { connection, request } = conversation;
  try {
    await writeFrame(connection.output, 'request', JSON.stringify(askedOf(conversation)));
    await sendTree(connection.output, request.tree, signal);
    return null;
  } catch (error) {
    // A runner that refuses does not read the rest; its answer says why.
    return isRefusedWrite(error) ? null : { fault: error };
  }
};

/** By hand: leaving a loop over the frames would end the connection, and what the runner holds for us with it. */
async function* readEvents(
  { connection, frames, told, roots }: Conversation,
  onBounds: (bounds: readonly string[]) => void,
): AsyncGenerator<EvaluationEvent, RunnerEnd> {
  for (;;) {
    const next = await frames.next();
    if (next.done === true)
      throw new RunnerProtocolError(`it went away without an answer. ${connection.complaint()}`.trim());
    const { kind, body } = next.value;
    if (kind === 'event') {
      const event = told.event(body);
      if (event.type === 'record' && event.record.kind === 'derivation') roots.add(event.record.drvPath);
      yield event;
    } else if (kind === 'answer') {
      const { end, bounds } = endIn(body);
      if (end.kind === 'refused') return end;
      onBounds(bounds);
      return told.end(end);
    } else throw new RunnerProtocolError(`${kind} from a runner`);
  }
}

const finish = async ({ roots }: Conversation, end: EvaluationEnd): Promise<EvaluationEnd> =>
  end.kind === 'failed' ? end : endRooted(roots, end);

/** What it still says is of no interest, but it must be able to say it, to come to its end. */
const drain = async (frames: AsyncGenerator<Frame>): Promise<void> => {
  try {
    while ((await frames.next()).done !== true);
  } catch {
    // It has gone.
  }
};

export const createRunnerEvaluator = (deps: RunnerEvaluatorDeps): Evaluator => {
  const { connect, nix, graceMs = defaultGraceMs } = deps;
  const { rootPaths = createProcessRooting(nix) } = deps;
  const { name } = chooseEvaluator(nix);
  let isTold = false;
  const onBounds = (bounds: readonly string[]): void => {
    if (!isTold) deps.onBounds?.(bounds);
    isTold = true;
  };

  async function* converse(
    conversation: Conversation,
    caller: AbortSignal,
  ): AsyncGenerator<EvaluationEvent, EvaluationEnd> {
    const { request, connection, frames, roots } = conversation;
    const stop = createStop(request.limits.timeoutMs + graceMs, caller);
    // Closing never rejects, and is awaited below.
    const close = (): void => void connection.close().catch(() => {});
    stop.signal.addEventListener('abort', close, { once: true });
    if (stop.signal.aborted) close();
    const sent = send(conversation, stop.signal).then((broke) => {
      if (broke !== null) close();
      return broke;
    });
    /** Throws where it was our own fault: half a tree is refused as well. */
    const ours = async (): Promise<void> => {
      close();
      const broke = await sent;
      if (broke !== null) throw broke.fault;
    };
    try {
      const end = yield* readEvents(conversation, onBounds);
      // A runner that was told to end has an answer, too.
      caller.throwIfAborted();
      if (stop.timedOut()) return noAnswer(request);
      if (end.kind !== 'refused') return await finish(conversation, end);
      await ours();
      return broken(end.why);
    } catch (error) {
      caller.throwIfAborted();
      if (stop.timedOut()) return noAnswer(request);
      await ours();
      // What has no code is a bug of ours.
      if (errorCodeOf(error) === '') throw error;
      return broken(error);
    } finally {
      stop.abort();
      await Promise.all([drain(frames), connection.close(), sent]);
      await roots.finish().catch(() => {}); // No child of ours may outlive the generator.
      stop.dispose();
    }
  }

  return {
    name,
    async *evaluate(request, caller) {
      caller.throwIfAborted();
      const connection = await connect().catch(broken);
      if ('kind' in connection) return connection;
      const roots = createRootKeeper(rootPaths, request.rootsDir);
      const frames = readFrames(connection.input);
      const told = createToldEvaluation(nix.storeDir);
      return yield* converse({ nix, name, request, connection, frames, told, roots }, caller);
    },
  };
};
