// What is known of a hook, and what is told of its runs.
import type { CredentialSource } from '../../config/credential-source.ts';
import type { HookEnding, StoredHookRun } from '../../database/database.ts';
import type { HookResult } from './run-hook.ts';
import type { Hook } from './want-hooks.ts';

/** As ekaci.toml has it. */
export interface ConfiguredHook extends Hook {
  readonly command: readonly string[];
  readonly credentials: CredentialSource;
  readonly timeoutMs: number;
}

export type HookEvent =
  | { readonly kind: 'wanted'; readonly changeId: string; readonly runs: number }
  | { readonly kind: 'started'; readonly run: StoredHookRun }
  | {
      readonly kind: 'ended';
      readonly run: StoredHookRun;
      readonly ending: HookEnding;
      /** Null where nothing ran. */
      readonly result: HookResult | null;
      /** Null where the server knows no such hook any more. */
      readonly hook: ConfiguredHook | null;
      /** Names of secrets that it was given. */
      readonly secrets: readonly string[];
    }
  /** It is begun again then. */
  | {
      readonly kind: 'put-off';
      readonly run: StoredHookRun;
      readonly message: string;
      readonly nextAtMs: number;
    }
  /** Of a server that died: these were running, and so many of their processes ran still. */
  | { readonly kind: 'taken-up'; readonly interrupted: readonly StoredHookRun[]; readonly killed: number }
  /** Another version wrote what a judgement handed on: nothing follows from it. */
  | { readonly kind: 'unreadable'; readonly changeId: string }
  | { readonly kind: 'warning'; readonly hook: string; readonly message: string }
  | { readonly kind: 'fault'; readonly error: unknown };
