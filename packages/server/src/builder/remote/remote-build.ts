// One build on another machine: its inputs copied there, built while its log is heard, its outputs copied back.
import type { BuildResult } from '@eka-ci/core/build-state';
import type { StorePath } from '@eka-ci/core/ids';
import { CopyError, copyMissing } from '@eka-ci/nix/daemon/copy-missing';
import type { DaemonConnection } from '@eka-ci/nix/daemon/daemon-connection';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import type { DaemonPool } from '@eka-ci/nix/daemon/daemon-pool';
import { queryValidPaths } from '@eka-ci/nix/daemon/query-operations';
import type { Derivation } from '@eka-ci/nix/derivation';
import { settingsFor } from '../build-settings.ts';
import type { BuildObserver, BuildRequest } from '../builder.ts';
import { buildThroughDaemon } from '../daemon-build.ts';
import type { DaemonLine } from '../daemon-line.ts';
import { interruptedBecause, readDerivation } from '../judge-build.ts';
import { judgeDaemonBuild } from '../judge-daemon-build.ts';
import type { LocalStore } from '../local-store.ts';
import { inputOutputsOf, outputsOf } from './build-inputs.ts';
import {
  explainMachine,
  isUnsigned,
  isWithoutRoom,
  notTrustedHere,
  notTrustedThere,
} from './machine-faults.ts';

export interface RemoteBuildDeps {
  /** Of the machine. */
  readonly name: string;
  readonly local: LocalStore;
  /** Connections to the local store. */
  readonly here: DaemonPool;
  /** Connections to the machine. */
  readonly line: DaemonLine;
  readonly onCopied: (direction: 'to' | 'from', bytes: number) => void;
  readonly graceMs: number;
  /** Without a byte, while something is copied. */
  readonly copyIdleMs: number;
}

export interface RemoteBuildCall {
  readonly request: BuildRequest;
  readonly observer: BuildObserver;
  readonly signal: AbortSignal;
}

/** What is looked at once, before anything is sent. */
interface Wanted {
  readonly derivation: Derivation;
  readonly outputs: ReadonlyMap<string, StorePath>;
}

/** Where a copy failed. */
interface CopyFault {
  readonly error: CopyError;
  readonly direction: 'to' | 'from';
  readonly isFar: boolean;
}

const notThere = (): NixDaemonError =>
  new NixDaemonError(
    'NIX_DAEMON_PROTOCOL',
    'it says that all outputs are made, and not all of them are there',
  );

class RemoteBuild {
  readonly #deps: RemoteBuildDeps;
  readonly #call: RemoteBuildCall;
  readonly #wanted: Wanted;
  #fault: CopyFault | null = null;
  #hasFetched = false;

  constructor(deps: RemoteBuildDeps, call: RemoteBuildCall, wanted: Wanted) {
    this.#deps = deps;
    this.#call = call;
    this.#wanted = wanted;
  }

  async run(): Promise<BuildResult> {
    const { local, line, graceMs } = this.#deps;
    const { request } = this.#call;
    const build = await buildThroughDaemon({
      ...this.#call,
      // It makes them all anyway, and who needs another one later does not find this machine again.
      request: { ...request, outputs: [] },
      line,
      settings: settingsFor(request, { ...local.standing, ...standingThere }, 'trusted'),
      graceMs,
      place: 'elsewhere',
      prepare: (connection, signal) => this.#send(connection, signal),
      fetch: (connection, signal) => this.#fetch(connection, signal),
      // Nix there ends a silent build by itself: who is silent for longer is not there.
      idleTimeoutMs: request.silenceTimeoutMs + 6 * graceMs,
    });
    if (build.kind === 'broken' && this.#fault?.error === build.error) {
      return this.#judgeCopy(this.#fault, build.durationMs);
    }
    return this.#judge(
      await judgeDaemonBuild({ nix: null, lossOf: (error) => this.#lossOf(error) }, request, build),
    );
  }

  /** All that it refers to, its inputs as far as they are here; what is not, the machine makes by the derivations. */
  async #send(there: DaemonConnection, signal: AbortSignal): Promise<void> {
    const { local, here } = this.#deps;
    const { drvPath } = this.#call.request;
    const inputs = await inputOutputsOf(this.#wanted.derivation, local.storeDir);
    await this.#copying('to', () =>
      here.use(async (from) => {
        const valid = await queryValidPaths(from, { paths: inputs }, { signal });
        const paths = [...valid, drvPath];
        const onBytes = (bytes: number): void => this.#deps.onCopied('to', bytes);
        const copy = { from, to: there, paths, far: 'to', allowUnsigned: true, onBytes } as const;
        await copyMissing(copy, { signal, idleTimeoutMs: this.#deps.copyIdleMs });
      }, signal),
    );
  }

  /** Also those that nobody asked for, where they are there: a build makes all of them. */
  async #fetch(there: DaemonConnection, signal: AbortSignal): Promise<void> {
    const { local, here, copyIdleMs } = this.#deps;
    const all = [...this.#wanted.outputs.values()];
    const paths = await queryValidPaths(there, { paths: all }, { signal, idleTimeoutMs: copyIdleMs });
    if (paths.size < new Set(all).size) throw notThere();
    await this.#copying('from', () =>
      here.use(async (to) => {
        const onBytes = (bytes: number): void => this.#deps.onCopied('from', bytes);
        const allowUnsigned = local.trust === 'trusted';
        const copy = { from: there, to, paths, far: 'from', allowUnsigned, onBytes } as const;
        const copied = await copyMissing(copy, { signal, idleTimeoutMs: copyIdleMs });
        this.#hasFetched = copied.length > 0;
      }, signal),
    );
  }

  /** Remembers where it failed: what is thrown is passed on with many others. */
  async #copying(direction: CopyFault['direction'], copy: () => Promise<void>): Promise<void> {
    try {
      await copy();
    } catch (error) {
      if (!(error instanceof NixDaemonError)) throw error;
      // All else that is asked meanwhile is asked of the store here.
      const fault =
        error instanceof CopyError ? error : new CopyError(direction === 'to' ? 'from' : 'to', error);
      this.#fault = { error: fault, direction, isFar: fault.side === direction };
      throw fault;
    }
  }

  #judgeCopy({ error, direction, isFar }: CopyFault, durationMs: number): BuildResult {
    const { name, local } = this.#deps;
    const failed = (cause: 'lost-builder' | 'disk-full' | 'process-death', why: string): BuildResult => {
      const what =
        direction === 'to'
          ? `its inputs were not copied to ${name}`
          : `what ${name} built was not copied back`;
      const { drvPath } = this.#call.request;
      return { kind: 'failed', cause, failedDrv: drvPath, message: `${what}: ${why}`, durationMs };
    };
    if (isWithoutRoom(error.message)) {
      return failed('disk-full', `the disk ${isFar ? 'there' : 'of this server'} is full (${error.message})`);
    }
    if (isUnsigned(error.message)) {
      return failed('lost-builder', direction === 'to' ? notTrustedThere : notTrustedHere(name));
    }
    return isFar
      ? failed('lost-builder', explainMachine(error, local.storeDir))
      : failed('process-death', error.message);
  }

  #lossOf(error: NixDaemonError) {
    const { name, local } = this.#deps;
    const message = `${name} was lost: ${explainMachine(error, local.storeDir)}`;
    return { kind: 'failed', cause: 'lost-builder', failedDrv: this.#call.request.drvPath, message } as const;
  }

  #judge(result: BuildResult): BuildResult {
    // Whatever died there, it was not a process of ours.
    if (result.kind === 'failed' && result.cause === 'process-death') {
      return { ...result, cause: 'lost-builder', message: `${this.#deps.name}: ${result.message}` };
    }
    // It was there and not here: for this server it is one more place to fetch from.
    if (result.kind === 'already-valid' && this.#hasFetched) return { ...result, kind: 'substituted' };
    return result;
  }
}

/** Nobody looks at what a failed build leaves there. It builds by itself, and does not quote the log in its messages. */
const standingThere = { keepFailed: false, overrides: { builders: '', 'log-lines': '0' } };

/** Null where it is to be built, else what it comes to without. */
const withoutBuilding = async (
  deps: RemoteBuildDeps,
  { request, signal }: RemoteBuildCall,
  { outputs }: Wanted,
): Promise<BuildResult | null> => {
  const { drvPath } = request;
  const paths =
    request.outputs.length === 0
      ? [...outputs.values()]
      : request.outputs.flatMap((name) => outputs.get(name) ?? []);
  try {
    const valid = await deps.here.use((here) => queryValidPaths(here, { paths }, { signal }), signal);
    const isValid = valid.size === new Set(paths).size && paths.length > 0;
    return isValid ? { kind: 'already-valid', durationMs: 0 } : null;
  } catch (error) {
    if (signal.aborted) return interruptedBecause('cancelled', request, 0);
    if (!(error instanceof NixDaemonError)) throw error;
    return {
      kind: 'failed',
      cause: 'process-death',
      failedDrv: drvPath,
      message: error.message,
      durationMs: 0,
    };
  }
};

/** @see Builder.build */
export const buildRemotely = async (deps: RemoteBuildDeps, call: RemoteBuildCall): Promise<BuildResult> => {
  const { request } = call;
  const derivation = await readDerivation(request.drvPath);
  if (typeof derivation === 'string') {
    const cause = 'invalid-derivation';
    return { kind: 'failed', cause, failedDrv: request.drvPath, message: derivation, durationMs: 0 };
  }
  const outputs = outputsOf(derivation, deps.local.storeDir);
  if (outputs === null) {
    const message = `what ${request.drvPath} is called is known only after it was built (content-addressed): it is built on this server alone, not on ${deps.name}`;
    return { kind: 'unsatisfiable', message, durationMs: 0 };
  }
  const wanted = { derivation, outputs };
  return (await withoutBuilding(deps, call, wanted)) ?? new RemoteBuild(deps, call, wanted).run();
};
