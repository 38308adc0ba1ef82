// Apps, their installations and their deliveries as GitHub shows them.
import type { Account, App, Delivery, Installation } from '../state/entities.ts';
import type { Json, JsonObject } from '../state/json.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { isoTime, isoTimeOrNull, nodeId } from './node-id.ts';

export const renderApp = (world: World, app: App): JsonObject => ({
  id: app.id,
  slug: app.slug,
  node_id: nodeId('App', app.id),
  client_id: app.clientId,
  owner: renderUser(world, mustGet(world.accounts, app.ownerId)),
  name: app.name,
  description: '',
  external_url: `${world.urls.web}/external/${app.slug}`,
  html_url: `${world.urls.web}/apps/${app.slug}`,
  created_at: isoTime(app.createdAtMs),
  updated_at: isoTime(app.createdAtMs),
  permissions: app.permissions,
  events: app.events,
});

export const renderInstallation = (world: World, installation: Installation): JsonObject => {
  const app = mustGet(world.apps, installation.appId);
  const account: Account = mustGet(world.accounts, installation.accountId);
  const { suspended } = installation;
  return {
    id: installation.id,
    account: renderUser(world, account),
    repository_selection: installation.repositoryIds === null ? 'all' : 'selected',
    access_tokens_url: `${world.urls.api}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${world.urls.api}/installation/repositories`,
    html_url: `${world.urls.web}/settings/installations/${installation.id}`,
    app_id: app.id,
    client_id: app.clientId,
    app_slug: app.slug,
    target_id: account.id,
    target_type: account.kind,
    permissions: installation.permissions,
    events: app.events,
    created_at: isoTime(installation.createdAtMs),
    updated_at: isoTime(installation.updatedAtMs),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: suspended === null ? null : renderUser(world, mustGet(world.accounts, suspended.byId)),
    suspended_at: isoTimeOrNull(suspended?.atMs ?? null),
  };
};

export const renderDelivery = (delivery: Delivery): JsonObject => ({
  id: delivery.id,
  guid: delivery.guid,
  delivered_at: new Date(delivery.deliveredAtMs).toISOString(),
  redelivery: delivery.redelivery,
  duration: delivery.duration,
  status: delivery.status,
  status_code: delivery.statusCode,
  event: delivery.event,
  action: delivery.action,
  installation_id: delivery.installationId,
  repository_id: delivery.repositoryId,
  throttled_at: null,
});

export const renderFullDelivery = (delivery: Delivery): JsonObject => ({
  ...renderDelivery(delivery),
  url: delivery.url,
  request: {
    headers: delivery.requestHeaders,
    payload: JSON.parse(delivery.payload) as Json,
  },
  response: { headers: delivery.responseHeaders, payload: delivery.responseBody },
});
