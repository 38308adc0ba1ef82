// Which app, and which of its installations, speaks for a repository: the first that is permitted to and is there.
import { z } from 'zod';
import { isPermitted, type Permissions, permitsRepository } from '../../config/permissions.ts';
import type { Secret } from '../../config/secret.ts';
import { apiPath } from './api-path.ts';
import { type AppCredentials, createAppIdentity } from './app-key.ts';
import type { GithubClient, GithubHttp, GithubIdentity } from './github-client.ts';
import { orNull } from './github-error.ts';
import { Id } from './github-schema.ts';
import { createInstallationIdentity } from './installation-token.ts';

export interface GithubAppDeps {
  /** Its id in ekaci.toml. */
  readonly id: string;
  readonly permissions: Permissions;
  readonly loadCredentials: () => Promise<AppCredentials>;
  /** GitHub does not take them: what was kept of them is to be asked for again. */
  readonly forgetCredentials?: () => void;
  /** Of the app's `api_url`; shared by all apps of one address. */
  readonly http: GithubHttp;
}

export interface GithubAppsDeps {
  /** In the order of ekaci.toml. */
  readonly apps: readonly GithubAppDeps[];
  readonly clock: () => number;
}

/** `rights`: what GitHub calls permissions, `read`, `write` or `admin` each. */
export interface GithubInstallation {
  readonly app: string;
  readonly installationId: number;
  /** GitHub's number of the app. */
  readonly appId: number;
  readonly rights: Readonly<Record<string, string>>;
  /** Asks as this installation. */
  readonly client: GithubClient;
  /** Of the app, as of ekaci.toml. */
  readonly permissions: Permissions;
  /** For git; good for five minutes at least. @throws GithubError */
  token(signal?: AbortSignal): Promise<Secret>;
  /** The same, for the content of that one repository of the account. @param name without its owner */
  contentToken(name: string, signal?: AbortSignal): Promise<Secret>;
}

/** What speaks for a repository. @throws GithubError GITHUB_NOT_FOUND where nothing does */
export type Speak = (
  place: { readonly repository: string; readonly baseBranch: string | null },
  signal: AbortSignal,
) => Promise<GithubInstallation>;

export type AppChoice =
  | ({ readonly kind: 'installation' } & GithubInstallation)
  /** Why each app does not serve it, in their order. */
  | {
      readonly kind: 'none';
      readonly reasons: readonly {
        readonly app: string;
        readonly reason: 'not-permitted' | 'not-installed' | 'suspended';
      }[];
    };

export interface GithubApps {
  /**
   * The first app that is permitted and installed there.
   * @param branch the base branch; null where none is meant: then any that the app may serve at all
   * @throws GithubError where GitHub cannot be asked
   */
  choose(repository: string, branch: string | null, signal?: AbortSignal): Promise<AppChoice>;
  /** Whether any app is permitted to serve it; asks nobody. */
  isPermitted(repository: string, branch: string | null): boolean;
  /** What an app does for itself: its hook deliveries, its installations. Null where there is no such app. */
  asApp(app: string): GithubClient | null;
  /** Asks as an installation that a webhook named. */
  asInstallation(app: string, installationId: number): GithubClient | null;
  /** What was known of installations may have changed: a webhook said so. */
  forgetInstallations(): void;
}

/** @param branch the base branch; null where none is meant */
const permitsApp = (permissions: Permissions, repository: string, branch: string | null): boolean =>
  branch === null
    ? permitsRepository(permissions, repository)
    : isPermitted(permissions, { repository, branch });

const Installation = z.object({
  id: Id,
  app_id: Id,
  permissions: z.record(z.string(), z.string()),
  suspended_at: z.string().nullish(),
});
type Installation = z.output<typeof Installation>;

/** Found ones change by webhooks that we get; an app is installed where we get none. */
const keptFoundMs = 10 * 60_000;
const keptMissingMs = 60_000;
const mostKept = 10_000;
/** Of tokens for single repositories. */
const mostContents = 200;

interface Known {
  readonly installation: Installation | null;
  readonly untilMs: number;
}

const createApp = (deps: GithubAppDeps, clock: () => number) => {
  const { id: app, http } = deps;
  const client = http.as(createAppIdentity({ ...deps, app, clock }));
  const installed = new Map<string, Known>();
  const clients = new Map<number, { readonly client: GithubClient; readonly identity: GithubIdentity }>();
  const openInstallation = (installationId: number) => {
    const known = clients.get(installationId);
    if (known !== undefined) return known;
    const identity = createInstallationIdentity({ app, installationId, appClient: client, clock });
    const made = { client: http.as(identity), identity };
    clients.set(installationId, made);
    return made;
  };
  const contents = new Map<string, GithubIdentity>();
  const readContent = (installationId: number, contentOf: string): GithubIdentity => {
    const key = `${installationId}/${contentOf.toLowerCase()}`;
    const known = contents.get(key);
    if (known !== undefined) return known;
    if (contents.size >= mostContents) contents.clear();
    const made = createInstallationIdentity({ app, installationId, appClient: client, clock, contentOf });
    contents.set(key, made);
    return made;
  };
  return {
    deps,
    client,
    forget: () => {
      installed.clear();
      contents.clear();
    },
    readContent,
    asInstallation: openInstallation,
    find: async (repository: string, signal?: AbortSignal): Promise<Installation | null> => {
      const key = repository.toLowerCase();
      const known = installed.get(key);
      const leftMs = (known?.untilMs ?? 0) - clock();
      // More than was ever given: the clock went back.
      if (known !== undefined && leftMs > 0 && leftMs <= keptFoundMs) return known.installation;
      const call = {
        operation: 'installation.find',
        method: 'GET',
        path: apiPath('repos', repository, 'installation'),
        schema: Installation,
      } as const;
      const installation = await orNull(client.call(call, signal));
      if (installed.size >= mostKept) installed.clear();
      installed.set(key, {
        installation,
        untilMs: clock() + (installation === null ? keptMissingMs : keptFoundMs),
      });
      return installation;
    },
  };
};

export const createGithubApps = ({ apps: given, clock }: GithubAppsDeps): GithubApps => {
  const apps = given.map((deps) => createApp(deps, clock));
  const appOf = (id: string) => apps.find(({ deps }) => deps.id === id) ?? null;
  return {
    choose: async (repository, branch, signal) => {
      const reasons: Extract<AppChoice, { kind: 'none' }>['reasons'][number][] = [];
      for (const { deps, find, asInstallation, readContent } of apps) {
        const { id: app, permissions } = deps;
        if (!permitsApp(permissions, repository, branch)) {
          reasons.push({ app, reason: 'not-permitted' });
          continue;
        }
        const installation = await find(repository, signal);
        if (installation === null) reasons.push({ app, reason: 'not-installed' });
        else if ((installation.suspended_at ?? null) !== null) reasons.push({ app, reason: 'suspended' });
        else {
          const { id: installationId, app_id: appId, permissions: rights } = installation;
          const { client, identity } = asInstallation(installationId);
          const found = { app, appId, installationId, rights, permissions, client };
          return {
            ...{ kind: 'installation', ...found },
            token: (asking) => identity.token(asking),
            contentToken: (name, asking) => readContent(installationId, name).token(asking),
          };
        }
      }
      return { kind: 'none', reasons };
    },
    isPermitted: (repository, branch) =>
      apps.some(({ deps }) => permitsApp(deps.permissions, repository, branch)),
    asApp: (id) => appOf(id)?.client ?? null,
    asInstallation: (id, installationId) => appOf(id)?.asInstallation(installationId).client ?? null,
    forgetInstallations: () => {
      for (const app of apps) app.forget();
    },
  };
};

/** What the server does needs these; `write` includes `read`. */
const neededRights: Readonly<Record<string, 'read' | 'write'>> = {
  checks: 'write',
  contents: 'write',
  pull_requests: 'write',
  issues: 'write',
  workflows: 'write',
  actions: 'read',
  merge_queues: 'read',
  members: 'read',
  metadata: 'read',
};

const consequences: Readonly<Record<string, string>> = {
  workflows: 'a merge that touches .github/workflows is refused',
  members: 'only direct collaborators of organisations are known',
};

/** A sentence for each permission that the app lacks; none where it has all. */
export const describeMissingRights = (rights: GithubInstallation['rights']): string[] =>
  Object.entries(neededRights).flatMap(([name, wanted]) => {
    const has = rights[name];
    if (has === 'admin' || has === 'write' || has === wanted) return [];
    const consequence = consequences[name] === undefined ? '' : `; without it ${consequences[name]}`;
    return [`the permission ${name}: ${wanted} is missing${consequence}`];
  });

/** The error of a repository that no app serves. */
export const describeNoApp = (
  repository: string,
  { reasons }: Extract<AppChoice, { kind: 'none' }>,
): string => {
  const words = {
    'not-permitted': 'is not permitted there',
    'not-installed': 'is not installed there',
    suspended: 'is suspended there',
  };
  const each = reasons.map(({ app, reason }) => `${app} ${words[reason]}`).join(', ');
  return `no GitHub App serves ${repository}${each === '' ? ': github_apps lists none' : `: ${each}`}`;
};
