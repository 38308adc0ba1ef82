// Apps are registered, installed, suspended and removed.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { renderUser } from '../render/account.ts';
import { isoTime } from '../render/node-id.ts';
import { renderNamedRepository } from '../render/repository.ts';
import type { Account, App, Installation, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { installationCovers } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import { createAccount } from './accounts.ts';

export interface NewApp {
  readonly slug: string;
  readonly owner: Account;
  readonly permissions: Readonly<Record<string, string>>;
  readonly events: readonly string[];
  readonly callbackUrls: readonly string[];
  readonly hookUrl: string | null;
  readonly hookSecret: string | null;
  readonly hookContentType: 'json' | 'form';
}

/** GitHub hands out keys in PKCS#1. */
const makeKeys = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });

/** The private key is shown once, as by GitHub. */
export const registerApp = (
  world: World,
  given: NewApp,
): { readonly app: App; readonly privateKey: string } => {
  const { publicKey, privateKey } = makeKeys();
  const { slug, owner, ...rest } = given;
  const bot = createAccount(world, { login: `${slug}[bot]`, kind: 'Bot' });
  const app: App = {
    ...rest,
    id: world.nextId(),
    slug,
    name: slug,
    ownerId: owner.id,
    botId: bot.id,
    clientId: `Iv23li${randomBytes(7).toString('hex')}`,
    clientSecret: randomBytes(20).toString('hex'),
    publicKey,
    hookId: world.nextId(),
    createdAtMs: world.clock.now(),
  };
  world.apps.set(app.id, app);
  return { app, privateKey };
};

/** GitHub sends it when a hook gets its address. */
export const pingApp = (world: World, app: App): void => {
  const owner = mustGet(world.accounts, app.ownerId);
  const at = isoTime(app.createdAtMs);
  world.publish({
    event: 'ping',
    action: null,
    sender: owner,
    repository: null,
    onlyTo: { appId: app.id, installation: null },
    body: {
      zen: 'Anything that can fail should be seen to fail.',
      hook_id: app.hookId,
      hook: {
        type: 'App',
        id: app.hookId,
        name: 'web',
        active: true,
        events: app.events,
        config: { content_type: app.hookContentType, url: app.hookUrl ?? '', insecure_ssl: '0' },
        updated_at: at,
        created_at: at,
        app_id: app.id,
        url: `${world.urls.api}/app/hook/config`,
        ping_url: `${world.urls.api}/app/hook/pings`,
        deliveries_url: `${world.urls.api}/app/hook/deliveries`,
      },
    },
  });
};

const repositoriesOf = (world: World, installation: Installation): Repository[] =>
  [...world.repositories.values()].filter((repository) => installationCovers(installation, repository));

const tell = (
  world: World,
  installation: Installation,
  { event = 'installation', action, sender, body }: Telling,
): void =>
  world.publish({
    event,
    action,
    sender,
    repository: null,
    onlyTo: { appId: installation.appId, installation },
    body,
  });

interface Telling {
  readonly event?: string;
  readonly action: string;
  readonly sender: Account;
  readonly body: JsonObject;
}

export const installApp = (
  world: World,
  given: {
    readonly app: App;
    readonly account: Account;
    readonly by: Account;
    readonly repositories: readonly Repository[] | null;
    readonly permissions?: Readonly<Record<string, string>> | undefined;
  },
): Installation => {
  const { app, account, by, repositories } = given;
  const installation: Installation = {
    id: world.nextId(),
    appId: app.id,
    accountId: account.id,
    repositoryIds: repositories === null ? null : new Set(repositories.map(({ id }) => id)),
    permissions: given.permissions ?? app.permissions,
    suspended: null,
    createdAtMs: world.clock.now(),
    updatedAtMs: world.clock.now(),
  };
  world.installations.set(installation.id, installation);
  const named = repositoriesOf(world, installation).map((one) => renderNamedRepository(world, one));
  tell(world, installation, {
    action: 'created',
    sender: by,
    body: { repositories: named, requester: renderUser(world, by) },
  });
  return installation;
};

const named = (world: World, repositories: readonly Repository[]): JsonObject[] =>
  repositories.map((one) => renderNamedRepository(world, one));

export const removeInstallation = (world: World, installation: Installation, by: Account): void => {
  const repositories = named(world, repositoriesOf(world, installation));
  tell(world, installation, { action: 'deleted', sender: by, body: { repositories } });
  world.installations.delete(installation.id);
};

export const suspendInstallation = (
  world: World,
  installation: Installation,
  { by, suspended }: { readonly by: Account; readonly suspended: boolean },
): void => {
  installation.suspended = suspended ? { byId: by.id, atMs: world.clock.now() } : null;
  installation.updatedAtMs = world.clock.now();
  const repositories = named(world, repositoriesOf(world, installation));
  tell(world, installation, {
    action: suspended ? 'suspend' : 'unsuspend',
    sender: by,
    body: { repositories },
  });
};

export const acceptPermissions = (
  world: World,
  installation: Installation,
  { by, permissions }: { readonly by: Account; readonly permissions: Readonly<Record<string, string>> },
): void => {
  installation.permissions = permissions;
  installation.updatedAtMs = world.clock.now();
  const repositories = named(world, repositoriesOf(world, installation));
  tell(world, installation, { action: 'new_permissions_accepted', sender: by, body: { repositories } });
};

/** Adds to and takes from the repositories that were selected. */
export const changeInstalledRepositories = (
  world: World,
  installation: Installation,
  change: {
    readonly by: Account;
    readonly add: readonly Repository[];
    readonly remove: readonly Repository[];
  },
): void => {
  const ids = (installation.repositoryIds ??= new Set(
    repositoriesOf(world, installation).map(({ id }) => id),
  ));
  for (const { id } of change.add) ids.add(id);
  for (const { id } of change.remove) ids.delete(id);
  installation.updatedAtMs = world.clock.now();
  for (const [action, repositories] of [
    ['added', change.add] as const,
    ['removed', change.remove] as const,
  ]) {
    if (repositories.length === 0) continue;
    const changed = named(world, repositories);
    tell(world, installation, {
      event: 'installation_repositories',
      action,
      sender: change.by,
      body: {
        repository_selection: 'selected',
        repositories_added: action === 'added' ? changed : [],
        repositories_removed: action === 'removed' ? changed : [],
        requester: null,
      },
    });
  }
};
