// What the HTTP app needs to know from outside: its dependencies, facts that change, and the bounds of a request.
import type { DrvPath } from '@eka-ci/core/ids';
import type { ChangeProgress } from '@eka-ci/protocol/change';
import type { Repository } from '@eka-ci/protocol/repository';
import type { Auth } from '../auth/auth.ts';
import type { BuilderCounts } from '../builder/builder-counts.ts';
import type { Secret } from '../config/secret.ts';
import type { Database } from '../database/database.ts';
import type { BuilderFacts } from '../pipeline/builds/builder-facts.ts';
import type { RunningFacts } from '../pipeline/builds/running-facts.ts';
import type { StoreLogs } from '../pipeline/builds/store-logs.ts';
import type { MergeDesk } from '../pipeline/merging/merge-desk.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import type { PushQueue } from '../pipeline/publish/push-queue.ts';
import type { RepositoryAddress } from '../pipeline/repository-address.ts';
import type { SubmitReview } from '../pipeline/submit-review.ts';
import type { Access } from './access.ts';
import type { RequestFault } from './errors.ts';
import type { GraphMetrics } from './graph-metrics.ts';
import type { LiveConnections } from './live/live-connections.ts';
import type { MetricSet } from './metric-set.ts';
import type { OperatorActions } from './operator-actions.ts';
import type { Origins } from './origins.ts';
import type { RateLimits } from './rate-limit.ts';
import type { HttpUpkeep } from './upkeep-facts.ts';
import type { WebhookDeps } from './webhook-deps.ts';
import type { WorkMetrics } from './work-metrics.ts';

/** What the running server says of itself; read for each answer. */
export interface StatusFacts {
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly nixVersion: string;
  /** Name and version of what evaluates. */
  readonly evaluator: string;
  /** Systems that can be built for. */
  readonly systems: readonly string[];
  /** True from SIGTERM on, and while an operator drains the server: nothing new is begun. */
  readonly draining: boolean;
  readonly builds: { readonly slots: number };
  readonly changes: { readonly queued: number; readonly judging: number };
}

/** A build that runs now. */
export interface ActiveBuild {
  readonly drv: DrvPath;
  readonly attempt: number;
  readonly builder: string;
  /** What the builder printed last as its phase: any text. */
  readonly phase: string | null;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
}

/** The builds that are wanted, as the schedulers see them now. Every method is cheap: it reads memory. */
export interface LiveBuilds {
  /** Oldest first. */
  active(): readonly ActiveBuild[];
  /** That part of them, inputs before dependents. */
  queued(start: number, limit: number): readonly DrvPath[];
  /** How many there are: it may be hundreds of thousands. */
  queuedCount(): number;
  /** One sentence on what a derivation waits for; null for one that nobody wants or that is settled. */
  why(drv: DrvPath): string | null;
}

export interface HttpOptions {
  /** `web.metrics_token`: opens the metrics over TCP; null keeps them to the unix socket. */
  readonly metricsToken: Secret | null;
  /** True where a proxy before the server speaks TLS: browsers are told to stay with it. */
  readonly behindTls: boolean;
  /** `web.trusted_proxies`: a client's address is taken from `X-Forwarded-For` where one of these sends it. */
  readonly trustedProxies: readonly string[];
  /** Pages of these and of our own may do something here in the name of who looks at them. */
  readonly origins: Origins;
  /** Other ones are for tests. */
  readonly rateLimits?: RateLimits;
}

export interface HttpDeps {
  readonly database: Pick<
    Database,
    | 'meta'
    | 'derivations'
    | 'builds'
    | 'changes'
    | 'merges'
    | 'reviews'
    | 'approvals'
    | 'maintainers'
    | 'checkRuns'
  > & { readonly hookRuns: Pick<Database['hookRuns'], 'of'> };
  /** Absolute: below it lie the files that attempts name as their logs. */
  readonly logsDir: string;
  /** Without a slash at its end, for example `/nix/store`: a `{drv}` of the API is a name in it. */
  readonly storeDir: string;
  /** Of EkaCI. */
  readonly version: string;
  /** @param maySee only changes of these repositories are counted. @default all */
  readonly status: (maySee?: (repository: string, repositoryId?: number) => boolean) => StatusFacts;
  /** False: it is not known yet what is private, and nothing is shown to anybody over TCP. */
  readonly mayShow: () => boolean;
  /** False while the server starts or ends: a load balancer then sends nothing here. */
  readonly isReady: () => boolean;
  readonly builds: LiveBuilds;
  /** Of the derivations that are being built. */
  readonly running: RunningFacts;
  readonly builders: BuilderFacts;
  /** Null for a change that is not being judged. */
  readonly progressOf: (changeId: string) => ChangeProgress | null;
  readonly live: LiveConnections;
  /** Logs of what was built elsewhere. */
  readonly storeLogs: StoreLogs;
  readonly submitReview: SubmitReview;
  /** The name under which the changes of a repository are kept; null for one that is not configured. */
  readonly findRepository: (address: RepositoryAddress) => string | null;
  /** All that are served, in the order of the configuration; read for each answer. */
  readonly repositories: () => readonly Repository[];
  /** Sentences on what could be served and is not; read for each answer. @default nothing is left out */
  readonly leftOut?: () => readonly string[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told of every fault that was answered with a 5xx, but not of "not ready"; the answer holds no detail of it. */
  readonly onFault: (fault: RequestFault) => void;
  /** What people have done who may. */
  readonly actions: OperatorActions;
  /** Asked first by every route that is not for everybody. */
  readonly access: Access;
  /** Signing in, and what follows from it. */
  readonly auth: Auth;
  readonly rights: Pick<
    ChangeRights,
    'mayWrite' | 'mayRead' | 'epoch' | 'maintains' | 'maintainsAll' | 'packagesWithout'
  >;
  readonly merges: Pick<MergeDesk, 'request' | 'withdraw'>;
  readonly pushes: Pick<PushQueue, 'queues' | 'pushNow'>;
  readonly upkeep: HttpUpkeep;
  /** Told of the work by who hears of it. */
  readonly workMetrics: Pick<WorkMetrics, 'registerIn'>;
  readonly graphMetrics: Pick<GraphMetrics, 'registerIn'>;
  /** Further metrics of whoever counts his own. @default none */
  readonly metricSets?: readonly MetricSet[];
  /** Of every builder that is configured now. Cheap: it reads memory. */
  readonly builderCounts: () => readonly BuilderCounts[];
  /** Of forges that call us. @default none */
  readonly webhooks?: WebhookDeps;
  readonly options: HttpOptions;
}
