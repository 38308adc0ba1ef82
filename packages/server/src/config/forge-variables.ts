// What environment variables say of forges: tokens of listed instances, and instances and an app of their own.

import { Secret } from './secret.ts';
import type { ServerConfig } from './server-config-defaults.ts';
import { GiteaInstance, GithubApp, GitlabInstance } from './server-config-entries.ts';
import type { Environment } from './server-config-environment.ts';

type InstanceList = 'gitea_instances' | 'gitlab_instances';
type Instance = ServerConfig[InstanceList][number];

interface Kind {
  readonly list: InstanceList;
  readonly tokenVariable: string;
  readonly domainVariable: string;
  readonly schema: typeof GiteaInstance;
}

const kinds: readonly Kind[] = [
  {
    list: 'gitea_instances',
    tokenVariable: 'GITEA_TOKEN',
    domainVariable: 'GITEA_DOMAIN',
    schema: GiteaInstance,
  },
  {
    list: 'gitlab_instances',
    tokenVariable: 'GITLAB_TOKEN',
    domainVariable: 'GITLAB_DOMAIN',
    schema: GitlabInstance,
  },
];

/** `GITEA_TOKEN_GIT_EXAMPLE_COM` of `git.example.com`. */
const tokenVariableOf = (kind: Kind, domain: string): string =>
  `${kind.tokenVariable}_${domain.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;

export interface ForgeVariables {
  readonly config: ServerConfig;
  /** Keys that got an entry out of the environment, and the variable that gave it. */
  readonly made: ReadonlyMap<string, string>;
  /** Each names the variable. */
  readonly problems: readonly { readonly variable: string; readonly message: string }[];
  readonly warnings: readonly string[];
}

interface Reading {
  readonly env: Environment;
  readonly made: Map<string, string>;
  readonly problems: { readonly variable: string; readonly message: string }[];
  readonly warnings: string[];
}

const valueOf = (reading: Reading, variable: string): string => reading.env[variable] ?? '';

const findToken = (
  reading: Reading,
  kind: Kind,
  { domain, count }: { domain: string; count: number },
): string => {
  const own = valueOf(reading, tokenVariableOf(kind, domain));
  if (own !== '') return own;
  const named = valueOf(reading, kind.domainVariable).toLowerCase();
  const isMeant = named === '' ? count === 1 : named === domain;
  return isMeant ? valueOf(reading, kind.tokenVariable) : '';
};

const makeInstance = (reading: Reading, kind: Kind): Instance[] => {
  const { tokenVariable, domainVariable } = kind;
  const token = valueOf(reading, tokenVariable);
  const parsed = kind.schema.safeParse({ domain: valueOf(reading, domainVariable), token });
  if (parsed.success) {
    reading.made.set(kind.list, domainVariable);
    return [parsed.data];
  }
  for (const { path, message } of parsed.error.issues) {
    const variable = path[0] === 'token' ? tokenVariable : domainVariable;
    reading.problems.push({ variable, message });
  }
  return [];
};

const readInstances = (reading: Reading, kind: Kind, listed: readonly Instance[]): Instance[] => {
  const { tokenVariable, domainVariable } = kind;
  const domain = valueOf(reading, domainVariable).toLowerCase();
  const hasToken = valueOf(reading, tokenVariable) !== '';
  const isListed = listed.some((instance) => instance.domain === domain);
  if (hasToken && domain === '' && listed.length !== 1) {
    const why = listed.length === 0 ? 'no instance is listed' : 'several instances are listed';
    reading.warnings.push(`${tokenVariable} is not used: ${why}, and ${domainVariable} names none`);
  }
  const made = hasToken && domain !== '' && !isListed ? makeInstance(reading, kind) : [];
  const withTokens = listed.map((instance) => {
    if (instance.token !== undefined || instance.credentials !== undefined) return instance;
    const token = findToken(reading, kind, { domain: instance.domain, count: listed.length });
    return token === '' ? instance : { ...instance, token: new Secret(token) };
  });
  return [...withTokens, ...made];
};

const appVariables = ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY'];

const readApps = (reading: Reading, listed: ServerConfig['github_apps']): ServerConfig['github_apps'] => {
  const [first, ...others] = appVariables.filter((variable) => valueOf(reading, variable) !== '');
  if (first === undefined || listed.length > 0) return listed;
  if (others.length === 0) {
    const missing = appVariables.find((variable) => variable !== first);
    reading.problems.push({ variable: first, message: `makes a GitHub App only together with ${missing}` });
    return listed;
  }
  reading.made.set('github_apps', first);
  return [GithubApp.parse({ id: 'default', credentials: { env: { vars: appVariables } } })];
};

/** Adds to a configuration what the environment says of forges. */
export const readForgeVariables = (config: ServerConfig, env: Environment): ForgeVariables => {
  const reading: Reading = { env, made: new Map(), problems: [], warnings: [] };
  const lists = kinds.map((kind) => [kind.list, readInstances(reading, kind, config[kind.list])] as const);
  return {
    ...reading,
    config: { ...config, ...Object.fromEntries(lists), github_apps: readApps(reading, config.github_apps) },
  };
};

/** Listed instances that have no token: each in words that name it and the variables that could give one. */
export const missingTokens = (config: ServerConfig): string[] =>
  kinds.flatMap((kind) =>
    config[kind.list]
      .filter(({ token, credentials }) => token === undefined && credentials === undefined)
      .map(({ domain }) => {
        const { list, tokenVariable, domainVariable } = kind;
        return (
          `${list}: ${domain} has no token: set ${tokenVariableOf(kind, domain)}, or ${tokenVariable} together ` +
          `with ${domainVariable}=${domain}, or token or credentials of the instance`
        );
      }),
  );
