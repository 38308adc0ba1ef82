// `eka-ci-server`: serves until it is told to end. Configuration in, exit status out.
import { flushCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { endAllChildren } from '@eka-ci/process';
import { compileBranchGlob } from '../config/branch-glob.ts';
import { defaultMachinesFile } from '../config/machines-file.ts';
import { secretsIn } from '../config/secret.ts';
import { type ConfigSources, loadServerConfig, type ServerConfig } from '../config/server-config.ts';
import type { ServerCommand } from '../config/server-flags.ts';
import { formatProblem } from '../config/setting.ts';
import { startFaults, startWarnings } from '../config/start-conditions.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { createLoggers, type Logger } from '../lib/logger.ts';
import { createSecretMask, type SecretMask } from '../lib/secret-mask.ts';
import { explainSystemError } from '../lib/system-error.ts';
import { letYoungObjectsGrow } from '../lib/young-objects.ts';
import type { RunningServer } from '../server.ts';
import { startServer } from '../start-server.ts';
import type { ServerOptions } from '../wiring/server-options.ts';

const dayMs = 24 * 60 * 60_000;
const mib = 1024 * 1024;

/** A server that has not ended by then ends at once; what it was at is queued again by the next one. */
const endTimeoutMs = 25_000;
/** For a start that hangs: nothing is lost by ending in the middle of it. */
const endOfStartMs = 3000;

const baselinesOf = ({ branches }: ServerConfig): ServerOptions['baselines'] =>
  branches.map(({ pattern, build }) => ({ matches: compileBranchGlob(pattern), build }));

const githubOf = ({ github_apps: apps, security }: ServerConfig): ServerOptions['github'] => {
  if (apps.length === 0) return null;
  const { webhook_secret: secrets, allow_insecure_webhooks: insecure } = security;
  return {
    apps: apps.map(({ id, permissions, credentials, api_url: apiUrl }) => ({
      ...{ id, permissions, credentials, apiUrl: apiUrl.replace(/\/+$/, '') },
    })),
    // Waived only while no secret is set.
    webhookSecrets: secrets.length === 0 && insecure ? null : secrets,
  };
};

const signInOf = ({ oauth, github_apps: [app], admins }: ServerConfig): ServerOptions['signIn'] => {
  const { client_id: clientId, client_secret: clientSecret, redirect_url: redirectUrl } = oauth;
  const apiUrl = (app?.api_url ?? 'https://api.github.com').replace(/\/+$/, '');
  const github =
    clientId === undefined || clientSecret === undefined
      ? null
      : { apiUrl, clientId, clientSecret, redirectUrl };
  return { github, secret: oauth.jwt_secret ?? null, admins };
};

const serverOptions = (config: ServerConfig, version: string): ServerOptions => ({
  version,
  dbPath: config.db_path,
  durability: 'power-loss',
  keepJobsets: true,
  logs: { folder: config.logs_dir, maxBytes: config.retention.max_log_mib * mib },
  secrets: secretsIn(config),
  repositories: config.git_repositories.map((one) => ({
    name: one.name,
    url: one.url,
    baseBranch: one.base_branch,
    baselines: baselinesOf(config),
    pollIntervalMs: one.poll_interval_seconds * 1000,
  })),
  github: githubOf(config),
  signIn: signInOf(config),
  baselines: baselinesOf(config),
  publicUrl: config.web.public_url.replace(/\/+$/, ''),
  slots: { build: config.builders.local_max_jobs, fixedOutput: config.builders.fod_max_jobs },
  machinesFile: {
    path: config.builders.machines_file,
    mustExist: config.builders.machines_file !== defaultMachinesFile,
  },
  buildLimits: {
    silenceTimeoutMs: config.build_no_output_timeout_seconds * 1000,
    maxDurationMs: config.build_max_duration_seconds * 1000,
  },
  evaluationLimits: {
    workers: config.evaluation.workers,
    maxMemoryMib: config.evaluation.max_memory_mib,
    timeoutMs: config.evaluation.timeout_seconds * 1000,
  },
  sandboxLimits: {
    maxMemoryMib: config.sandbox.max_memory_mib,
    maxCpuSeconds: config.sandbox.max_cpu_seconds,
    maxProcesses: config.sandbox.max_processes,
    maxOutputMib: config.sandbox.max_output_mib,
  },
  maxCheckTimeoutMs: config.sandbox.max_timeout_seconds * 1000,
  evaluationNetwork: config.evaluation.allow_network,
  checkNetwork: config.sandbox.allow_network,
  publishing: {
    caches: config.caches,
    hooks: config.hooks,
    allowsPrivateHosts: config.security.allow_private_cache_hosts,
    audits: config.security.audit_hooks,
  },
  graphCapacity: config.graph_lru_capacity,
  rebuild: {
    maxBuilds: config.rebuild.max_rebuild_count,
    maxSubmittedBuilds: null,
    skipPaths: config.rebuild.skip_paths,
  },
  merging: { defaultMethod: config.default_merge_method },
  approval: {
    requireApproval: config.require_approval,
    groupsRequireApproval: config.merge_queue_require_approval,
    trustedBots: config.trusted_bots,
  },
  retention: {
    logMaxAgeMs: config.retention.build_log_days * dayMs,
    rootMaxAgeMs: config.retention.gc_root_days * dayMs,
  },
  failureDays: config.retention.failure_days,
  minFreeBytes: config.disk.min_free_mib * mib,
  listen: {
    tcp: { address: config.web.address, port: config.web.port },
    socket: {
      path: config.unix.socket_path,
      mode: Number.parseInt(config.unix.socket_mode, 8),
      group: config.unix.socket_group ?? null,
    },
    closeTimeoutMs: 5000,
  },
  http: {
    metricsToken: config.web.metrics_token ?? null,
    behindTls: config.web.public_url.startsWith('https:'),
    trustedProxies: config.web.trusted_proxies,
    origins: {
      allowed: config.web.allowed_origins,
      own: new URL(config.web.public_url).origin,
    },
  },
});

const loggersOn = (env: NodeJS.ProcessEnv, mask: SecretMask): ((target: string) => Logger) =>
  createLoggers({
    filter: env['EKA_CI_LOG'] || env['RUST_LOG'],
    format: process.stderr.isTTY === true ? 'plain' : 'json',
    write: (line) => process.stderr.write(mask.text(line)),
  });

/** Null, after saying why, where the configuration does not let a server start. */
const loadOrExplain = async (sources: ConfigSources, logger: Logger): Promise<ServerConfig | null> => {
  const loaded = await loadServerConfig(sources);
  const faults =
    loaded.kind === 'invalid'
      ? loaded.problems.map(formatProblem)
      : startFaults(loaded.config).map(({ message }) => message);
  const warnings = loaded.kind === 'invalid' ? [] : startWarnings(loaded.config);
  for (const message of [...loaded.warnings, ...warnings]) logger.warn(message);
  for (const message of faults) process.stderr.write(`eka-ci-server: ${message}\n`);
  return loaded.kind === 'invalid' || faults.length > 0 ? null : loaded.config;
};

const explain = (error: unknown): string => {
  if (error instanceof Error && errorCodeOf(error) !== '') return explainSystemError(error) ?? error.message;
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `this is a bug in EkaCI; please report it:\n${detail}`;
};

const addressOf = ({ tcp, socketPath }: RunningServer['listening']): string => {
  if (tcp === null) return String(socketPath);
  const host = tcp.address.includes(':') ? `[${tcp.address}]` : tcp.address;
  return `http://${host}:${tcp.port}`;
};

/** Resolves at the first signal to end. A second one ends the process at once. */
const untilSignal = (): Promise<void> =>
  new Promise((resolve) => {
    let asked = false;
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve();
      });
    }
  });

/** True when all has ended in time. */
const stopInTime = async (server: RunningServer): Promise<boolean> => {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), endTimeoutMs);
  const ended = server.stop().then(() => true);
  try {
    return await Promise.race([ended, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};

/** Null where it was told to end before it had come to its start, and did not come there soon. */
const startUnlessEnded = async (
  starting: Promise<RunningServer>,
  ending: Promise<void>,
): Promise<RunningServer | null> => {
  const started = new AbortController();
  const given = ending.then(() => sleep(endOfStartMs, null, { signal: started.signal })).catch(() => null);
  try {
    return await Promise.race([starting, given]);
  } finally {
    started.abort();
  }
};

/** @returns the process's exit status */
export const serve = async (
  { flags }: Extract<ServerCommand, { kind: 'serve' }>,
  { env, host, version }: Pick<ConfigSources, 'host'> & { env: NodeJS.ProcessEnv; version: string },
): Promise<number> => {
  const mask = createSecretMask([]);
  const loggerFor = loggersOn(env, mask);
  const config = await loadOrExplain({ env, host, flags, scope: 'everything' }, loggerFor('http'));
  if (config === null) return 1;
  const ending = untilSignal();
  let server: RunningServer | null;
  try {
    const starting = startServer(serverOptions(config, version), { env, loggerFor, mask });
    server = await startUnlessEnded(starting, ending);
  } catch (error) {
    process.stderr.write(`eka-ci-server: ${explain(error)}\n`);
    await endAllChildren();
    return 1;
  }
  if (server === null) {
    process.stderr.write('eka-ci-server: ended while it was still starting\n');
    await endAllChildren('SIGKILL');
    process.exit(1);
  }
  process.stdout.write(`eka-ci-server listens on ${addressOf(server.listening)}\n`);
  // A process that is killed would keep nothing for the next start.
  flushCompileCache();
  letYoungObjectsGrow();
  const lost = await Promise.race([ending.then(() => null), server.lost.then((error) => ({ error }))]);
  if (lost === null) loggerFor('scheduler').info('ending: what is being judged is queued again');
  else
    process.stderr.write(
      `eka-ci-server: ending, for there is no database any more: ${explain(lost.error)}\n`,
    );
  const inTime = await stopInTime(server);
  await endAllChildren(inTime ? 'SIGTERM' : 'SIGKILL');
  if (!inTime)
    process.stderr.write('eka-ci-server: not all ended in time; the next start takes it up again\n');
  return inTime && lost === null ? 0 : 1;
};
