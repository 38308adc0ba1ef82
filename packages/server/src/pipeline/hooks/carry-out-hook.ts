// One run of a hook, from its row to its end and the row again: its credentials, its values, its program.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Secret } from '../../config/secret.ts';
import { CredentialError } from '../../credentials/credential-error.ts';
import type { Credentials } from '../../credentials/credentials.ts';
import type { Database, HookEnding, StoredHookRun } from '../../database/database.ts';
import type { SecretMask } from '../../lib/secret-mask.ts';
import type { LogCompression } from '../builds/log-compression.ts';
import { isStillPermitted } from '../publish/publication.ts';
import type { ConfiguredHook, HookEvent } from './hook-event.ts';
import { hookLogFileOf } from './hook-log-file.ts';
import { readHookValues } from './hook-values.ts';
import { type HookEnd, type HookResult, type RunHookDeps, runHook } from './run-hook.ts';

export interface HookWorkDeps {
  readonly database: Pick<Database, 'hookRuns' | 'derivations' | 'builds'>;
  readonly credentials: Pick<Credentials, 'load'>;
  readonly logs: {
    /** Absolute. */
    readonly folder: string;
    readonly compression?: Pick<LogCompression, 'writing'> | null;
  };
  readonly mask: Pick<SecretMask, 'line' | 'text'>;
  readonly run: Pick<RunHookDeps, 'env' | 'killGraceMs'>;
  /** Of this server and no other, the same after its restart. */
  readonly serverMark: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Must not throw. */
  readonly onEvent: (event: HookEvent) => void;
}

/** What could not be begun is tried again after so long, and given up after the last. */
const retryWaitsMs = [10_000, 60_000, 5 * 60_000, 15 * 60_000, 60 * 60_000];
/** A database that does not answer is not asked again at once. */
const faultWaitMs = 5000;

/** For people, and nothing else tells it. */
const messageOf = ({ end, logFault }: HookResult, { timeoutMs }: ConfiguredHook): string | null => {
  switch (end.kind) {
    case 'exited':
      return logFault === null ? null : `its log is not complete: ${logFault}`;
    case 'signalled':
      return `${end.signal} ended it`;
    case 'timed-out':
      return `it took longer than ${timeoutMs / 1000} s and was ended`;
    case 'cancelled':
      return 'the server ended while it ran: it was ended too, and is not repeated';
    case 'not-started':
      return end.why;
  }
};

const stateOf = (end: HookEnd): HookEnding['state'] => {
  switch (end.kind) {
    case 'exited':
      return end.status === 0 ? 'succeeded' : 'failed';
    case 'signalled':
      return 'failed';
    case 'cancelled':
      return 'interrupted';
    case 'timed-out':
    case 'not-started':
      return end.kind;
  }
};

/** What a run is about to be done with. */
interface Prepared {
  readonly hook: ConfiguredHook;
  readonly secrets: ReadonlyMap<string, Secret>;
}

type Preparation =
  | { readonly kind: 'ready'; readonly prepared: Prepared }
  | { readonly kind: 'later'; readonly message: string; readonly hook: ConfiguredHook }
  | { readonly kind: 'never'; readonly message: string; readonly hook: ConfiguredHook | null };

/** Carries out runs, any number at once. When the signal aborts those that run are ended, and what waits stays. */
export class HookWork {
  readonly #deps: HookWorkDeps;
  readonly #hooks: ReadonlyMap<string, ConfiguredHook>;
  readonly #ending: AbortSignal;
  readonly #warned = new Set<string>();

  constructor(deps: HookWorkDeps, hooks: ReadonlyMap<string, ConfiguredHook>, ending: AbortSignal) {
    this.#deps = deps;
    this.#hooks = hooks;
    this.#ending = ending;
  }

  /** Never rejects. */
  async carryOut(run: StoredHookRun): Promise<void> {
    try {
      await this.#prepareAndRun(run);
    } catch (error) {
      if (this.#ending.aborted) return;
      this.#deps.onEvent({ kind: 'fault', error });
      await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    await sleep(faultWaitMs, null, { signal: this.#ending, ref: false }).catch(() => {});
  }

  async #prepareAndRun(run: StoredHookRun): Promise<void> {
    const preparation = await this.#prepare(run);
    switch (preparation.kind) {
      case 'never':
        return this.#end(run, { ...preparation, secrets: [], result: null, state: 'not-started' });
      case 'later':
        return this.#putOff(run, preparation);
      case 'ready':
        return this.#run(run, preparation.prepared);
    }
  }

  async #prepare(run: StoredHookRun): Promise<Preparation> {
    const hook = this.#hooks.get(run.hook);
    if (hook === undefined) {
      return { kind: 'never', hook: null, message: 'this server has no such hook any more' };
    }
    if (!isStillPermitted(hook.permissions, run)) {
      const message = `its permissions do not let ${run.branch} of ${run.repository} use it any more`;
      return { kind: 'never', hook, message };
    }
    try {
      const loaded = await this.#deps.credentials.load(hook.credentials, this.#ending);
      for (const message of loaded.warnings) this.#warn(hook, message);
      return { kind: 'ready', prepared: { hook, secrets: loaded.values } };
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      return { kind: error.isPassing ? 'later' : 'never', hook, message: `${error.code}: ${error.message}` };
    }
  }

  /** Once: it is as true of the next run. */
  #warn(hook: ConfiguredHook, message: string): void {
    const key = `${hook.id} ${message}`;
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#deps.onEvent({ kind: 'warning', hook: hook.id, message });
  }

  async #putOff(
    run: StoredHookRun,
    { message, hook }: { readonly message: string; readonly hook: ConfiguredHook },
  ): Promise<void> {
    const waitMs = retryWaitsMs[run.tries];
    if (waitMs === undefined) {
      return this.#end(run, { hook, message, secrets: [], result: null, state: 'not-started' });
    }
    const nextAtMs = this.#deps.clock() + waitMs;
    await this.#deps.database.hookRuns.putOff(run.id, { message, nextAtMs });
    this.#deps.onEvent({ kind: 'put-off', run, message, nextAtMs });
  }

  async #run(run: StoredHookRun, { hook, secrets }: Prepared): Promise<void> {
    const { database, clock, logs } = this.#deps;
    const node = await database.derivations.find(run.drv);
    if (node === null) {
      const message = 'its derivation is not known any more';
      return this.#end(run, { hook, message, secrets: [], result: null, state: 'not-started' });
    }
    const logFile = hookLogFileOf(run.drv, run.attempt, run.hook);
    // Nobody else runs hooks of this database; whoever ended it meanwhile has the last word.
    if (!(await database.hookRuns.begin(run.id, { logFile, atMs: clock() }))) return;
    this.#deps.onEvent({ kind: 'started', run });
    const written = logs.compression?.writing(logFile);
    const names = [...secrets.keys()];
    const values = (folder: string) =>
      readHookValues({ database, logsDir: logs.folder }, { run, node }, folder);
    const outcome = await this.#invoke(run, { hook, secrets }, values).then(
      (result) => ({ result, message: messageOf(result, hook), state: stateOf(result.end) }),
      (error: unknown) => ({
        result: null,
        message: `it could not be prepared: ${error instanceof Error ? error.message : String(error)}`,
        state: 'not-started' as const,
      }),
    );
    written?.();
    await this.#end(run, { hook, secrets: names, ...outcome });
  }

  #invoke(
    run: StoredHookRun,
    { hook, secrets }: Prepared,
    valuesIn: Parameters<typeof runHook>[1]['valuesIn'],
  ): Promise<HookResult> {
    const { mask, logs, serverMark } = this.#deps;
    const { command, timeoutMs } = hook;
    const logPath = join(logs.folder, hookLogFileOf(run.drv, run.attempt, run.hook));
    return runHook(
      { ...this.#deps.run, mask },
      { command, timeoutMs, valuesIn, credentials: secrets, mark: `${serverMark}.${run.id}`, logPath },
      this.#ending,
    );
  }

  async #end(
    run: StoredHookRun,
    { hook, message, secrets, result, state }: Omit<Ended, 'ending'> & Pick<HookEnding, 'message' | 'state'>,
  ): Promise<void> {
    const ending: HookEnding = {
      state,
      exitStatus: result?.end.kind === 'exited' ? result.end.status : null,
      message: message === null ? null : this.#deps.mask.text(message),
      atMs: this.#deps.clock(),
    };
    // Before it is on disk: what happened is told also where the disk does not take it.
    this.#tellEnd(run, { ending, result, hook, secrets });
    await this.#keepEnd(run.id, ending);
  }

  /** What has run must not look for ever as if it ran: until the database takes it, or the server ends. */
  async #keepEnd(id: number, ending: HookEnding): Promise<void> {
    for (;;) {
      try {
        return await this.#deps.database.hookRuns.end(id, ending);
      } catch (error) {
        this.#deps.onEvent({ kind: 'fault', error });
        if (this.#ending.aborted) return;
        await this.#pause();
      }
    }
  }

  #tellEnd(run: StoredHookRun, ended: Ended): void {
    this.#deps.onEvent({ kind: 'ended', run, ...ended });
  }
}

type Ended = Omit<Extract<HookEvent, { kind: 'ended' }>, 'kind' | 'run'>;
