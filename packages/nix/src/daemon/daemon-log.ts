// Makes events of what a daemon says while it works: the same as those of Nix's structured log, and its other activities.
//
// What can be believed: a daemon makes the activities of builds itself and takes nothing from a builder into any
// other (with `builders = ''`: a build hook passes on what another machine says), so `build-started` and `build-stopped`, and *that* a `log-line` or `phase` belongs to its derivation, are true (seen
// in 2.8, 2.26 and 2.34). The text of a line and the name of a phase are the builder's own. A `message` may be
// one that a builder printed as `@nix {"action":"msg",...}`: here, unlike in the structured log, nothing tells Nix's
// own ones apart, so none is `genuine`. A builder may also begin activities of the type of file transfers.
import type { DrvPath } from '@eka-ci/core/ids';
import { type NixLogEvent, withoutAnsi } from '../internal-json.ts';
import { drvPathFault } from '../store-path.ts';
import { limitError } from './daemon-error.ts';
import type { StderrField, StderrMessage } from './stderr-messages.ts';

export type DaemonEvent =
  | NixLogEvent
  /** Any but that of a build or a substitution, which have events of their own. */
  | {
      readonly kind: 'activity-started';
      readonly id: bigint;
      /** As in Nix's sources: 100 copy a path, 101 transfer a file, 102 realise, 103 copy paths, 104 builds, … */
      readonly type: number;
      readonly text: string;
      readonly fields: readonly StderrField[];
      /** 0 for none. */
      readonly parent: bigint;
      /** True where a builder can have made it up. */
      readonly isForgeable: boolean;
    }
  | { readonly kind: 'activity-stopped'; readonly id: bigint };

const ACTIVITY_FILE_TRANSFER = 101;
const ACTIVITY_BUILDS = 104;
const ACTIVITY_BUILD = 105;
const ACTIVITY_SUBSTITUTE = 108;
const RESULT_BUILD_LOG_LINE = 101;
const RESULT_SET_PHASE = 104;
const RESULT_PROGRESS = 105;

/** Of builds under way in one request. */
const maxBuilds = 100_000;

/** How a message begins that Nix printed for an error; its level is not sent. */
const levelOf = (text: string): number => {
  if (text.startsWith('error:')) return 0;
  return text.startsWith('warning:') ? 1 : 3;
};

const textField = (fields: readonly StderrField[], index: number): string => {
  const field = fields[index];
  return typeof field === 'string' ? field : '';
};

const numberField = (fields: readonly StderrField[], index: number): number => {
  const field = fields[index];
  return typeof field === 'number' ? field : 0;
};

type StartMessage = Extract<StderrMessage, { kind: 'start' }>;
type ResultMessage = Extract<StderrMessage, { kind: 'result' }>;

/** Reads the messages of one connection, in order. */
export class DaemonLog {
  readonly #storeDir: string;
  readonly #builds = new Map<bigint, DrvPath>();
  readonly #overviews = new Set<bigint>();

  /** @param storeDir without a slash at its end */
  constructor(storeDir: string) {
    this.#storeDir = storeDir;
  }

  /** Null for what says nothing of use. */
  take(message: StderrMessage): DaemonEvent | null {
    switch (message.kind) {
      case 'next': {
        const text = withoutAnsi(message.text).trimEnd();
        return { kind: 'message', level: levelOf(text), text, genuine: false };
      }
      case 'start':
        return this.#onStart(message);
      case 'stop':
        return this.#onStop(message.id);
      case 'result':
        return this.#onResult(message);
      case 'last':
      case 'error':
        return null;
    }
  }

  /** An operation has ended: none of its activities speaks again. */
  reset(): void {
    this.#builds.clear();
    this.#overviews.clear();
  }

  #onStart({ id, type, text, fields, parent }: StartMessage): DaemonEvent | null {
    const path = textField(fields, 0);
    if (type === ACTIVITY_SUBSTITUTE) {
      return { kind: 'substitution-started', path, from: textField(fields, 1) };
    }
    if (type === ACTIVITY_BUILD && drvPathFault(path, this.#storeDir) === null) {
      if (this.#builds.size >= maxBuilds) throw limitError('more builds at once', maxBuilds);
      const drvPath = path as DrvPath;
      this.#builds.set(id, drvPath);
      return { kind: 'build-started', drvPath, machine: textField(fields, 1) };
    }
    if (type === ACTIVITY_BUILDS && this.#overviews.size < maxBuilds) this.#overviews.add(id);
    const isForgeable = type === ACTIVITY_FILE_TRANSFER;
    return { kind: 'activity-started', id, type, text: withoutAnsi(text), fields, parent, isForgeable };
  }

  #onStop(id: bigint): DaemonEvent {
    const drvPath = this.#builds.get(id);
    this.#builds.delete(id);
    return drvPath === undefined ? { kind: 'activity-stopped', id } : { kind: 'build-stopped', drvPath };
  }

  #onResult({ id, type, fields }: ResultMessage): DaemonEvent | null {
    if (type === RESULT_PROGRESS && this.#overviews.has(id)) {
      const [done, expected] = [numberField(fields, 0), numberField(fields, 1)];
      const [running, failed] = [numberField(fields, 2), numberField(fields, 3)];
      return { kind: 'progress', done, expected, running, failed };
    }
    const drvPath = this.#builds.get(id);
    if (drvPath === undefined) return null;
    const text = textField(fields, 0);
    if (type === RESULT_BUILD_LOG_LINE) return { kind: 'log-line', drvPath, text };
    return type === RESULT_SET_PHASE ? { kind: 'phase', drvPath, phase: text } : null;
  }
}
