// The one description of ekaci.toml. Validation, messages, reference pages and the editors' JSON Schema are all made
// from it. Defaults that depend on the machine or on other keys stand in server-config-defaults.ts.
import { z } from 'zod';
import { defaultGraphCapacity } from './graph-capacity.ts';
import { defaultMachinesFile } from './machines-file.ts';
import {
  Branch,
  Cache,
  GiteaInstance,
  GithubApp,
  GitlabInstance,
  GitRepository,
  Hook,
} from './server-config-entries.ts';
import {
  choice,
  cidr,
  flag,
  forgeLogin,
  ipAddress,
  list,
  origin,
  path,
  postgresUrl,
  repositoryGlob,
  secret,
  socketMode,
  socketPath,
  table,
  text,
  webUrl,
  wholeNumber,
} from './setting-values.ts';

/** The largest number of a signed 32-bit field, which is what most counts end up in. */
const largest = 2_147_483_647;
const longestDays = 36_500;
/** 16 TiB. */
const largestMemoryMib = 16_777_216;

const webhookSecrets = () =>
  z
    .union([secret(), list(secret(), 20).min(1, 'must list at least one secret')], {
      error: 'must be a text of 1 to 4096 characters on one line, or a list of such',
    })
    .optional()
    .transform((given) => (given === undefined ? [] : Array.isArray(given) ? given : [given]));

const WebSection = table({
  address: ipAddress().default('127.0.0.1').describe('Where the HTTP server listens.'),
  port: wholeNumber(0, 65_535).default(3030).describe('The TCP port. 0: any that is free.'),
  public_url: webUrl().optional().describe('How people reach the server: used in links on the forge.'),
  bundle_path: path().optional().describe('Serve this build of the web UI. Without it: the bundled one.'),
  trusted_proxies: list(cidr())
    .default(['127.0.0.0/8', '::1/128'])
    .describe('Only when these send `X-Forwarded-*` are client address and scheme taken from there.'),
  metrics_token: secret()
    .optional()
    .describe('Opens `/metrics` over TCP, as a bearer token. The unix socket always may read it.'),
  allowed_origins: list(origin())
    .default([])
    .describe('Origins of other sites whose scripts may call the API. Empty: none.'),
})
  .prefault({})
  .describe('The HTTP server.');

const UnixSection = table({
  socket_path: socketPath().optional().describe('The unix socket that the command line talks to.'),
  socket_mode: socketMode().prefault('0600').describe('Who can open the socket is an admin.'),
  socket_group: text(100)
    .optional()
    .describe(
      'The group that owns the socket, by name or number; give it rights with a `socket_mode` of 0660. A folder that is made for the socket lets the group in.',
    ),
})
  .prefault({})
  .describe('The socket of the command line.');

const OauthSection = table({
  client_id: text(200).optional().describe('Of the GitHub OAuth app that users sign in with.'),
  client_secret: secret().optional().describe('Of the same app.'),
  redirect_url: webUrl().optional().describe('Where GitHub sends users back to.'),
  jwt_secret: secret()
    .optional()
    .describe('Signs sessions. Without one: random at each start, and every session ends with the server.'),
})
  .prefault({})
  .describe('Signing in to the web UI.');

const SecuritySection = table({
  webhook_secret: webhookSecrets().describe(
    'Proves webhooks of every forge. Of a list, any secret proves: that is how one is rotated.',
  ),
  allow_insecure_webhooks: flag()
    .default(false)
    .describe('Start without a webhook secret and take webhooks from anybody. For development alone.'),
  max_hook_timeout_seconds: wholeNumber(1, 86_400).default(300).describe('The most a hook may ask for.'),
  audit_hooks: flag()
    .default(true)
    .describe('One audit record for each run of a hook and each push to a cache.'),
  allow_private_cache_hosts: flag()
    .default(false)
    .describe('Let caches be at private and loopback addresses and in files: no guard against SSRF.'),
})
  .prefault({})
  .describe('Proof, audit and guards.');

const EvaluationSection = table({
  workers: wholeNumber(1, 1024).optional().describe('Evaluator processes at a time.'),
  max_memory_mib: wholeNumber(64, largestMemoryMib).default(4096).describe('Of each worker.'),
  timeout_seconds: wholeNumber(1, 604_800).default(3600).describe('Of one evaluation.'),
  allow_import_from_derivation: flag().default(false).describe('Let evaluation build what it imports.'),
  allow_network: list(repositoryGlob())
    .default([])
    .describe(
      'Patterns of `owner/repo` whose evaluation has the network, and may fetch what no lock names. What `flake.lock`, npins and niv lock by hash is fetched before any evaluation.',
    ),
})
  .prefault({})
  .describe('The budget of one evaluation.');

const BuildersSection = table({
  machines_file: path()
    .default(defaultMachinesFile)
    .describe(
      "Remote builders, in Nix's own format; read again when it changes. The default one may be missing, one that is named here may not.",
    ),
  local_max_jobs: wholeNumber(1, 1024).optional().describe('Builds at a time on this machine.'),
  fod_max_jobs: wholeNumber(1, 1024).default(8).describe('Builds of fixed-output derivations at a time.'),
})
  .prefault({})
  .describe('Where builds run.');

const RebuildSection = table({
  max_rebuild_count: wholeNumber(0, largest)
    .default(20_000)
    .describe('A change that rebuilds more is wide: it gets a summary, and no builds until it is approved.'),
  skip_paths: list(text(500))
    .default([])
    .describe('Patterns of paths: a diff that touches nothing else needs no evaluation.'),
})
  .prefault({})
  .describe('What a change may make build again.');

const RetentionSection = table({
  build_log_days: wholeNumber(0, longestDays)
    .default(90)
    .describe('How long build logs are kept; with 0 until the next sweep, at most an hour.'),
  gc_root_days: wholeNumber(0, longestDays)
    .default(14)
    .describe('How long results, and evaluations that were kept, are kept from garbage collection.'),
  failure_days: wholeNumber(0, longestDays)
    .default(14)
    .describe('How long what failed by its own doing is not tried again. 0: it always is.'),
  max_log_mib: wholeNumber(1, 1_048_576)
    .default(64)
    .describe('Of one log. Past it head and tail are kept, with a visible gap.'),
})
  .prefault({})
  .describe('How long things are kept.');

const DiskSection = table({
  min_free_mib: wholeNumber(0, largest)
    .default(2048)
    .describe(
      'No build or evaluation starts while less is free on the disk of the Nix store, the build logs, the database or temporary files.',
    ),
})
  .prefault({})
  .describe('Free space.');

const SandboxSection = table({
  max_memory_mib: wholeNumber(16, largestMemoryMib).default(4096).describe('Memory.'),
  max_cpu_seconds: wholeNumber(1, 604_800).default(3600).describe('Processor time.'),
  max_processes: wholeNumber(1, 1_000_000).default(512).describe('Processes and threads.'),
  max_output_mib: wholeNumber(1, 1_048_576).default(64).describe('What it prints.'),
  max_timeout_seconds: wholeNumber(1, 86_400)
    .default(86_400)
    .describe('What it may take. One that asks for more (`timeout_seconds`) has this.'),
  allow_network: list(repositoryGlob())
    .default([])
    .describe(
      'Patterns of repositories whose checks may have the network, where their own configuration asks for it. It is the network of this machine: its loopback and, in a cloud, its metadata service are part of it.',
    ),
})
  .prefault({})
  .describe('The bounds of one check.');

export const ServerConfigSchema = table({
  db_path: path().optional().describe('The embedded database.'),
  database_url: postgresUrl()
    .optional()
    .describe('`postgres://…`: use PostgreSQL in place of the embedded database.'),
  logs_dir: path().optional().describe('Where build logs are kept.'),
  require_approval: flag()
    .default(false)
    .describe('A change by somebody without write access waits for approval.'),
  merge_queue_require_approval: flag()
    .default(false)
    .describe(
      'An entry of a merge queue waits unless each of its changes was approved, or is by somebody with write access.',
    ),
  build_no_output_timeout_seconds: wholeNumber(30, 86_400)
    .default(1200)
    .describe('A build that is silent for this long hangs, and is ended.'),
  build_max_duration_seconds: wholeNumber(60, 604_800)
    .default(14_400)
    .describe('A build is ended after this many seconds, whatever it does.'),
  graph_lru_capacity: wholeNumber(1, largest)
    .default(defaultGraphCapacity)
    .describe('Nodes of the derivation graph that are kept in memory.'),
  default_merge_method: choice(['merge', 'squash', 'rebase'])
    .default('squash')
    .describe('For the command `@eka-ci merge`.'),
  admins: list(forgeLogin()).default([]).describe('Admins, beside those promoted by `ekaci admin promote`.'),
  trusted_bots: list(forgeLogin()).default([]).describe('Authors that need no approval.'),
  web: WebSection,
  unix: UnixSection,
  oauth: OauthSection,
  security: SecuritySection,
  evaluation: EvaluationSection,
  builders: BuildersSection,
  rebuild: RebuildSection,
  retention: RetentionSection,
  disk: DiskSection,
  sandbox: SandboxSection,
  git_repositories: list(GitRepository)
    .default([])
    .describe('Repositories on plain git hosts: their branches are polled.'),
  branches: list(Branch)
    .default([])
    .describe(
      'Which pushed branches are judged and kept as baselines, beside the base branch of each repository, which is ' +
        'one anyway (`changed` where no pattern matches). The first pattern that matches counts. A branch that is a ' +
        'baseline is no change. A repository may ask for less of its own branches, never for more.',
    ),
  github_apps: list(GithubApp).default([]).describe('GitHub Apps that the server acts as.'),
  gitea_instances: list(GiteaInstance).default([]).describe('Instances of Gitea and Forgejo.'),
  gitlab_instances: list(GitlabInstance).default([]).describe('Instances of GitLab.'),
  caches: list(Cache).default([]).describe('Binary caches that results are pushed to.'),
  hooks: list(Hook)
    .default([])
    .describe('Trusted commands that run after builds; repositories refer to them by id.'),
});

/** ekaci.toml as it is written, checked, with the defaults that depend on nothing. */
export type WrittenServerConfig = z.output<typeof ServerConfigSchema>;
