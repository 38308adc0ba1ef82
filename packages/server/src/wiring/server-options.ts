// What a server is told, and what it is told with.

import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { BuilderSlots } from '../builder/builder-pool.ts';
import type { CredentialSource } from '../config/credential-source.ts';
import type { Secret } from '../config/secret.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { ForgeRepository } from '../forge/forge.ts';
import type { HttpDeps } from '../http/app.ts';
import type { ListenOptions } from '../http/listen.ts';
import type { Logger } from '../lib/logger.ts';
import type { SecretMask } from '../lib/secret-mask.ts';
import type { AttemptDeps } from '../pipeline/builds/run-attempt.ts';
import type { CheckStage } from '../pipeline/checks/run-checks.ts';
import type { SideLimits } from '../pipeline/evaluate-sides.ts';
import type { RebuildPolicy } from '../pipeline/rebuild-policy.ts';
import type { RetentionAges } from '../pipeline/upkeep/upkeep.ts';

export interface GithubOptions {
  /** In the order of the configuration. */
  readonly apps: readonly {
    readonly id: string;
    /** Of the API, without a slash at the end. */
    readonly apiUrl: string;
    readonly permissions: ServerConfig['github_apps'][number]['permissions'];
    readonly credentials: CredentialSource;
  }[];
  /** Null: the operator waived the proof of webhooks. */
  readonly webhookSecrets: readonly Secret[] | null;
}

/** How people sign in. */
export interface SignInOptions {
  /** Null: nobody can. */
  readonly github: {
    /** Of the API, without a slash at the end. */
    readonly apiUrl: string;
    readonly clientId: string;
    readonly clientSecret: Secret;
    /** Where browsers come back to. */
    readonly redirectUrl: string;
  } | null;
  /** Signs sessions; null: random. */
  readonly secret: Secret | null;
  /** `forge:login` */
  readonly admins: readonly string[];
}

/** What a server is told; commands/serve.ts makes it of the configuration. */
export interface ServerOptions {
  /** Of EkaCI. */
  readonly version: string;
  /** The database; mirrors and roots lie beside it. */
  readonly dbPath: string;
  /** `process-death` is quicker, and enough for what nobody needs after a power failure. */
  readonly durability: 'power-loss' | 'process-death';
  /** False where no later change could use an evaluation again. */
  readonly keepJobsets: boolean;
  readonly logs: Pick<AttemptDeps['logs'], 'folder' | 'maxBytes'>;
  /** What no log may show; those of fewer than 8 characters are passed over. */
  readonly secrets: readonly Secret[];
  readonly repositories: readonly ForgeRepository[];
  /** Null: no change comes from there. */
  readonly github: GithubOptions | null;
  readonly signIn: SignInOptions;
  /** Of every repository: which pushed branches are kept as baselines; the first that matches counts. */
  readonly baselines: NonNullable<ForgeRepository['baselines']>;
  /** Under which people reach this server, without a slash at the end. */
  readonly publicUrl: string;
  /** Of this machine's own store. */
  readonly slots: BuilderSlots;
  /** Where the machines that build for it are listed; null: on no other one is anything built. */
  readonly machinesFile: { readonly path: string; readonly mustExist: boolean } | null;
  readonly buildLimits: Omit<AttemptDeps['limits'], 'maxLogBytes'>;
  readonly evaluationLimits: SideLimits;
  /** Of one check; its time is its own. */
  readonly sandboxLimits: CheckStage['limits'];
  /** What no check gets more of, whatever it asks for. */
  readonly maxCheckTimeoutMs: number;
  /** Patterns of `owner/repo` whose evaluation may fetch what nothing locks. */
  readonly evaluationNetwork: readonly string[];
  /** Patterns of `owner/repo` whose checks may have the network. */
  readonly checkNetwork: readonly string[];
  /** Caches and hooks, as ekaci.toml has them; null: nobody publishes anything, and nobody misses it. */
  readonly publishing: {
    readonly caches: ServerConfig['caches'];
    readonly hooks: ServerConfig['hooks'];
    /** `security.allow_private_cache_hosts` */
    readonly allowsPrivateHosts: boolean;
    /** One audit record for each push to a cache and each run of a hook. */
    readonly audits: boolean;
  } | null;
  /** Nodes of the derivation graph that are kept in memory. */
  readonly graphCapacity: number;
  readonly rebuild: RebuildPolicy;
  readonly merging: {
    /** Where nobody asks for another. */
    readonly defaultMethod: MergeMethod;
  };
  readonly approval: {
    /** What comes from outside of a hosted forge waits until somebody lets it go. */
    readonly requireApproval: boolean;
    /** So does what a merge queue made of such changes. */
    readonly groupsRequireApproval: boolean;
    /** `forge:login`: authors that need none. */
    readonly trustedBots: readonly string[];
  };
  /** Null: nothing is removed, for all goes when the server ends. */
  readonly retention: RetentionAges | null;
  /** How long what failed by its own doing is not tried again. 0: it always is. */
  readonly failureDays: number;
  /** No build and no evaluation begins while a disk has less. */
  readonly minFreeBytes: number;
  readonly listen: ListenOptions;
  readonly http: HttpDeps['options'];
}

export interface ServerDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly loggerFor: (target: string) => Logger;
  /** Hides secrets in what `loggerFor` writes; it is told those of the configuration and of credential sources. */
  readonly mask?: SecretMask;
  /** The database does not answer. A server goes on trying; one that nobody can mend may end instead. */
  readonly onDatabaseFault?: (error: unknown) => void;
}
