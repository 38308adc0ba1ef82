// Commands about apps and where they are installed.
import * as apps from '../../actions/apps.ts';
import type { Account } from '../../state/entities.ts';
import { mustGet, type World } from '../../state/world.ts';
import type { CommandHandlers } from '../control.ts';
import type { Finding } from '../finding.ts';

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

const administratorOf = (world: World, account: Account): Account => {
  const [id] = [...account.members].find(([, role]) => role === 'admin') ?? [account.id];
  return mustGet(world.accounts, id);
};

export const appHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'acceptPermissions'
  | 'changeInstalledRepositories'
  | 'createApp'
  | 'install'
  | 'ping'
  | 'removeInstallation'
  | 'setWebhook'
  | 'suspendInstallation'
> => ({
  createApp: ({ owner, ...given }) => {
    const { app, privateKey } = apps.registerApp(world, { ...given, owner: find.account(owner) });
    if (app.hookUrl !== null) apps.pingApp(world, app);
    return { id: app.id, clientId: app.clientId, clientSecret: app.clientSecret, privateKey };
  },
  setWebhook: ({ app, url, secret }) => {
    const one = find.app(app);
    one.hookUrl = url;
    one.hookSecret = secret;
    return null;
  },
  ping: ({ app }) => {
    apps.pingApp(world, find.app(app));
    return null;
  },
  install: (given) => {
    const account = find.account(given.account);
    const installation = apps.installApp(world, {
      app: find.app(given.app),
      account,
      by: given.by === undefined ? administratorOf(world, account) : find.account(given.by),
      repositories: given.repositories?.map(find.repository) ?? null,
      permissions: given.permissions,
    });
    return { id: installation.id };
  },
  removeInstallation: ({ installation, by }) => {
    apps.removeInstallation(world, find.installation(installation), find.account(by));
    return null;
  },
  suspendInstallation: ({ installation, suspended, by }) => {
    const how = { suspended, by: find.account(by) };
    apps.suspendInstallation(world, find.installation(installation), how);
    return null;
  },
  acceptPermissions: ({ installation, permissions, by }) => {
    const accepted = { permissions, by: find.account(by) };
    apps.acceptPermissions(world, find.installation(installation), accepted);
    return null;
  },
  changeInstalledRepositories: ({ installation, add, remove, by }) => {
    apps.changeInstalledRepositories(world, find.installation(installation), {
      by: find.account(by),
      add: add.map(find.repository),
      remove: remove.map(find.repository),
    });
    return null;
  },
});
