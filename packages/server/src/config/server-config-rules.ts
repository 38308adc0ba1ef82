// What holds between keys of ekaci.toml, beyond what each may be by itself.
import { destinationFault } from './destination.ts';
import { commandFaults } from './hook-command.ts';
import type { ServerConfig } from './server-config-defaults.ts';
import { socketPath } from './setting-values.ts';
import type { TomlPath } from './toml-text.ts';

export interface RuleFault {
  /** From the root of the configuration, a list's entry by its index. */
  readonly path: TomlPath;
  readonly message: string;
}

const repeated = (list: string, field: string, values: readonly string[]): RuleFault[] =>
  values.flatMap((value, index) =>
    values.indexOf(value) === index
      ? []
      : [{ path: [list, index, field], message: `is that of ${list}[${values.indexOf(value)}] too` }],
  );

const uniqueNames = (config: ServerConfig): RuleFault[] => [
  ...repeated(
    'caches',
    'id',
    config.caches.map(({ id }) => id),
  ),
  ...repeated(
    'hooks',
    'id',
    config.hooks.map(({ id }) => id),
  ),
  ...repeated(
    'github_apps',
    'id',
    config.github_apps.map(({ id }) => id),
  ),
  ...repeated(
    'gitea_instances',
    'domain',
    config.gitea_instances.map(({ domain }) => domain),
  ),
  ...repeated(
    'gitlab_instances',
    'domain',
    config.gitlab_instances.map(({ domain }) => domain),
  ),
  ...repeated(
    'git_repositories',
    'name',
    config.git_repositories.map(({ name }) => name),
  ),
];

const hookTimeouts = ({ hooks, security }: ServerConfig): RuleFault[] =>
  hooks.flatMap(({ timeout_seconds: timeout }, index) =>
    timeout <= security.max_hook_timeout_seconds
      ? []
      : [
          {
            path: ['hooks', index, 'timeout_seconds'],
            message: `must be at most security.max_hook_timeout_seconds, ${security.max_hook_timeout_seconds} (it is ${timeout})`,
          },
        ],
  );

const hookCommands = ({ hooks }: ServerConfig): RuleFault[] =>
  hooks.flatMap(({ command }, hook) =>
    commandFaults(command).map(({ index, message }) => ({
      path: ['hooks', hook, 'command', index],
      message,
    })),
  );

const cacheDestinations = ({ caches, security }: ServerConfig): RuleFault[] =>
  caches.flatMap(({ cache_type: type, destination }, index) => {
    // Where Cachix is, Cachix says.
    if (type === 'cachix') return [];
    const message = destinationFault(destination, security.allow_private_cache_hosts);
    return message === null ? [] : [{ path: ['caches', index, 'destination'], message }];
  });

const doubleTokens = (config: ServerConfig): RuleFault[] =>
  (['gitea_instances', 'gitlab_instances'] as const).flatMap((list) =>
    config[list].flatMap(({ token, credentials }, index) =>
      token === undefined || credentials === undefined
        ? []
        : [{ path: [list, index], message: 'has both a token and credentials: keep one' }],
    ),
  );

/** The default is made from the environment, and can be longer than the kernel takes. */
const socketPaths = ({ unix }: ServerConfig): RuleFault[] => {
  const parsed = socketPath().safeParse(unix.socket_path);
  const message = `${parsed.error?.issues[0]?.message} (it is ${unix.socket_path})`;
  return parsed.success ? [] : [{ path: ['unix', 'socket_path'], message }];
};

/** Changes of GitHub's repositories are kept under names that begin with its host. */
const hostedNames = ({ git_repositories: repositories, github_apps: apps }: ServerConfig): RuleFault[] => {
  const hosts = new Set(['github.com', ...apps.map(({ api_url: url }) => new URL(url).host.toLowerCase())]);
  return repositories.flatMap(({ name }, index) => {
    const [first = '', ...rest] = name.toLowerCase().split('/');
    if (rest.length < 2 || !hosts.has(first)) return [];
    const message = `begins with the host ${first}, as the names of what GitHub Apps serve do: leave the host out`;
    return [{ path: ['git_repositories', index, 'name'], message }];
  });
};

/** Everything that breaks a rule between keys. */
export const brokenRules = (config: ServerConfig): RuleFault[] => [
  ...uniqueNames(config),
  ...hookTimeouts(config),
  ...hookCommands(config),
  ...cacheDestinations(config),
  ...doubleTokens(config),
  ...socketPaths(config),
  ...hostedNames(config),
];

/** What is allowed and still hardly meant. */
export const doubtfulSettings = (config: ServerConfig): RuleFault[] =>
  (['caches', 'hooks', 'github_apps', 'gitea_instances', 'gitlab_instances'] as const).flatMap((list) =>
    config[list].flatMap(({ permissions }, index) => {
      const { allow_all: all, allowed_repos: repos, allowed_branches: branches } = permissions;
      if (!all || repos.length + branches.length === 0) return [];
      const message = 'the lists hold nobody back while allow_all is true: set allow_all = false';
      return [{ path: [list, index, 'permissions'], message }];
    }),
  );
