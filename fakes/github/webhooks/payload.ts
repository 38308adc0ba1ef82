// Who is told what: the apps that an occurrence concerns, and the payload that each of them gets.
import type { ApiDocument } from '../api/document.ts';
import type { Journal } from '../http/journal.ts';
import { renderOrganization, renderUser } from '../render/account.ts';
import { renderInstallation } from '../render/app.ts';
import { emailOf } from '../render/commit.ts';
import { nodeId } from '../render/node-id.ts';
import { renderRepository } from '../render/repository.ts';
import type { App, Installation, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { installationOf, ownerOf } from '../state/lookup.ts';
import type { Occurrence, World } from '../state/world.ts';

/** An app hears of an event only with the permission that it belongs to. */
const permissionOf: Readonly<Record<string, readonly string[]>> = {
  check_run: ['checks'],
  check_suite: ['checks'],
  create: ['contents'],
  delete: ['contents'],
  issue_comment: ['issues', 'pull_requests'],
  merge_group: ['merge_queues'],
  pull_request: ['pull_requests'],
  pull_request_review: ['pull_requests'],
  push: ['contents'],
  status: ['statuses'],
  workflow_run: ['actions'],
};

/** Every app gets these, whatever it subscribed to. */
const unasked = new Set(['installation', 'installation_repositories', 'ping']);

const mayHear = (app: App, installation: Installation, event: string): boolean => {
  if (unasked.has(event)) return true;
  if (installation.suspended !== null || !app.events.includes(event)) return false;
  const permissions = permissionOf[event] ?? [];
  return permissions.length === 0 || permissions.some((name) => installation.permissions[name] !== undefined);
};

export interface Payload {
  readonly app: App;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly body: JsonObject;
}

/** Deliveries about an installation carry the whole of it, others name it. */
const renderFor = (world: World, event: string, installation: Installation | null): JsonObject => {
  if (installation === null) return {};
  const whole = event === 'installation' || event === 'installation_repositories';
  return {
    installation: whole
      ? renderInstallation(world, installation)
      : { id: installation.id, node_id: nodeId('IntegrationInstallation', installation.id) },
  };
};

/** In pushes a repository still has the form of GitHub's first years: seconds for times, more about its owner. */
const renderIn = (world: World, event: string, repository: Repository): JsonObject => {
  const rendered = renderRepository(world, repository);
  if (event !== 'push') return rendered;
  const owner = ownerOf(world, repository);
  return {
    ...rendered,
    owner: { ...renderUser(world, owner), name: owner.login, email: emailOf(owner) },
    created_at: Math.floor(repository.createdAtMs / 1000),
    pushed_at: Math.floor(repository.pushedAtMs / 1000),
    stargazers: 0,
    master_branch: repository.defaultBranch,
  };
};

const renderPayload = (
  world: World,
  occurrence: Occurrence,
  installation: Installation | null,
): JsonObject => {
  const { event, action, body, repository, sender } = occurrence;
  const owner = repository === null ? null : ownerOf(world, repository);
  return {
    ...(action === null ? {} : { action }),
    ...body,
    ...(repository === null ? {} : { repository: renderIn(world, event, repository) }),
    ...(owner?.kind === 'Organization' ? { organization: renderOrganization(world, owner) } : {}),
    ...renderFor(world, event, installation),
    sender: renderUser(world, sender),
  };
};

export interface PayloadDeps {
  readonly world: World;
  readonly document: ApiDocument;
  readonly journal: Journal;
}

const checkPayload = (
  { document, journal }: PayloadDeps,
  { event, action }: Occurrence,
  body: JsonObject,
): void => {
  const name = [event, ...(action === null ? [] : [action])].join('-').replaceAll('_', '-');
  const problems = document.findDeliveryProblems(name, body);
  if (problems.length > 0) journal.record({ kind: 'delivery', what: name, problems });
};

/** One payload for each app that hears of it, checked against GitHub's document. */
export const addressOccurrence = (deps: PayloadDeps, occurrence: Occurrence): Payload[] => {
  const { world } = deps;
  const { event, action, repository, onlyTo } = occurrence;
  return [...world.apps.values()].flatMap((app) => {
    if (onlyTo !== undefined && onlyTo.appId !== app.id) return [];
    const installation =
      onlyTo?.installation ?? (repository === null ? null : installationOf(world, app, repository));
    if (installation === null && event !== 'ping') return [];
    if (installation !== null && !mayHear(app, installation, event)) return [];
    const body = renderPayload(world, occurrence, installation);
    checkPayload(deps, occurrence, body);
    const ids = { installationId: installation?.id ?? null, repositoryId: repository?.id ?? null };
    return [{ app, event, action, ...ids, body }];
  });
};
