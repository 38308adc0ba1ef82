// GitHub as a hosted forge: its parts in this folder, put together.
import { z } from 'zod';
import type { Secret } from '../../config/secret.ts';
import type { HostedForge, HostedListing } from '../hosted-forge.ts';
import { apiPath, withQuery } from './api-path.ts';
import { findChange, listOpenChanges } from './changes.ts';
import { putGate } from './gates.ts';
import {
  createGithubApps,
  describeNoApp,
  type GithubAppDeps,
  type GithubApps,
  type Speak,
} from './github-apps.ts';
import type { GithubClient, GithubHttp } from './github-client.ts';
import { GithubError } from './github-error.ts';
import { createGithubMerging } from './github-merging.ts';
import { Id } from './github-schema.ts';
import { createGithubTalk } from './github-talk.ts';
import { perPage, readPages } from './pages.ts';
import { findBranchTip, findRepository, listBranchTips, listRepositories } from './repositories.ts';
import { createRetelling } from './retell.ts';
import { accessGithubSource, findGithubSource } from './sources.ts';
import { receiveWebhook } from './webhook.ts';

export interface GithubForgeDeps {
  /** Where its web pages are, without a slash at the end: `https://github.com`. */
  readonly webUrl: string;
  /** Of its API; shared by all apps. */
  readonly http: GithubHttp;
  /** In the order of ekaci.toml. */
  readonly apps: readonly Omit<GithubAppDeps, 'http'>[];
  /** Null: the operator waived the proof of webhooks. */
  readonly webhookSecrets: readonly Secret[] | null;
  readonly knowsGithubIds: boolean;
  /** Webhooks of other hosts come to the same address, and are proven by the same secret. @default false */
  readonly hasNeighbours?: boolean;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** GitHub's own bound: https://docs.github.com/en/webhooks/webhook-events-and-payloads */
const maxBodyBytes = 26_214_400;

/** `https://api.github.com` → `https://github.com`; of an Enterprise server the API lies below its pages. */
export const webUrlOf = (apiUrl: string): string => {
  const url = new URL(apiUrl);
  if (url.hostname === 'api.github.com') return 'https://github.com';
  return url.origin;
};

/**
 * Whether people there are those of github.com. What is at a loopback address stands for it, as in tests and demos: an
 * Enterprise server is given by its own name, and numbers its people anew.
 */
export const isOfGithubCom = (apiUrl: string): boolean =>
  ['api.github.com', '127.0.0.1', '[::1]', 'localhost'].includes(new URL(apiUrl).hostname);

/** Unique among the forges of a server. */
const hostOf = (webUrl: string): string => new URL(webUrl).host.toLowerCase();

const Installation = z.object({ id: Id, suspended_at: z.string().nullish() });

const listInstallations = async (client: GithubClient, signal: AbortSignal) => {
  const path = withQuery(apiPath('app', 'installations'), { per_page: perPage });
  const call = {
    operation: 'installations.list',
    method: 'GET',
    path,
    schema: z.array(Installation),
  } as const;
  const { items } = await readPages(client, call, { mostPages: 100, signal });
  return items.filter((one) => (one.suspended_at ?? null) === null);
};

interface Asking {
  readonly apps: GithubApps;
  readonly signal: AbortSignal;
}

/** What speaks for the repository. @throws GithubError GITHUB_NOT_FOUND where nothing does */
const speakFor = async ({ apps, signal }: Asking, repository: string, baseBranch: string | null) => {
  const choice = await apps.choose(repository, baseBranch, signal);
  if (choice.kind === 'installation') return choice;
  throw new GithubError('GITHUB_NOT_FOUND', describeNoApp(repository, choice));
};

const listOf = async (
  client: GithubClient,
  repository: HostedListing['repository'],
  signal: AbortSignal,
): Promise<HostedListing> => {
  const { items: changes, isComplete } = await listOpenChanges(client, repository.name, signal);
  const { items: branches } = await listBranchTips(client, repository.name, signal);
  return { repository, changes, isComplete, branches };
};

/** One repository that cannot be read does not hide the others. */
const toNothing = (error: unknown): null => {
  if (error instanceof GithubError && !error.mayPass) return null;
  throw error;
};

/** A repository that two apps reach comes once, by the first. */
async function* listAll(
  { apps, signal }: Asking,
  appIds: readonly string[],
): AsyncGenerator<HostedListing, void, undefined> {
  const seen = new Set<number>();
  for (const app of appIds) {
    const asApp = apps.asApp(app);
    if (asApp === null) continue;
    for (const { id } of await listInstallations(asApp, signal)) {
      const client = apps.asInstallation(app, id);
      if (client === null) continue;
      for (const repository of (await listRepositories(client, signal)).items) {
        if (seen.has(repository.id) || !apps.isPermitted(repository.name, null)) continue;
        seen.add(repository.id);
        const listing = await listOf(client, repository, signal).catch(toNothing);
        // What is not listed is asked for by itself.
        if (listing !== null) yield listing;
      }
    }
  }
}

/** What a webhook says of installations is not to wait until what is known of them has aged. */
const accessKinds: ReadonlySet<string> = new Set([
  'access-given',
  'access-ended',
  'access-suspended',
  'access-resumed',
  'access-rights-changed',
  'repositories-changed',
]);

export const createGithubForge = (deps: GithubForgeDeps): HostedForge => {
  const { webUrl, http, webhookSecrets, clock } = deps;
  const apps = createGithubApps({ apps: deps.apps.map((app) => ({ ...app, http })), clock });
  const speak: Speak = ({ repository, baseBranch }, signal) =>
    speakFor({ apps, signal }, repository, baseBranch);
  const appIds = deps.apps.map(({ id }) => id);
  const retell = createRetelling();
  /** Where one address is for several, each takes what is its own alone. */
  const isOurs = (from: string | null): boolean =>
    deps.hasNeighbours !== true || from?.toLowerCase() === hostOf(webUrl);
  return {
    kind: 'github',
    host: hostOf(webUrl),
    capabilities: { comments: true, statuses: true },
    knowsGithubIds: deps.knowsGithubIds,
    webhookPath: '/github/webhook',
    maxBodyBytes,
    read(delivery) {
      const received = receiveWebhook(delivery, webhookSecrets);
      if (received.kind === 'refused') return received;
      const { deliveryId: id, eventName, appId, host: from, reading } = received;
      if (!isOurs(from) && !(reading.kind === 'event' && reading.event.kind === 'ping')) {
        const message = `it is of ${from ?? 'nobody knows which host'}, which none of github_apps is of`;
        return { kind: 'refused', status: 401, reason: 'other-host', message };
      }
      if (reading.kind === 'ignored') return { kind: 'ignored', id, name: reading.name, why: reading.why };
      const { event, ownerAppId } = reading;
      if (ownerAppId !== null && ownerAppId !== appId) {
        return { kind: 'ignored', id, name: eventName, why: 'is of a check run of another app' };
      }
      if (accessKinds.has(event.kind)) apps.forgetInstallations();
      return { kind: 'event', id, name: eventName, event };
    },
    isPermitted: (repository, baseBranch) => apps.isPermitted(repository, baseBranch),
    async findChange(repository, number, signal) {
      const choice = await apps.choose(repository, null, signal);
      if (choice.kind === 'none') return null;
      return (await findChange(choice.client, { repository, number }, signal))?.change ?? null;
    },
    async findBranchTip(repository, branch, signal) {
      const choice = await apps.choose(repository, null, signal);
      return choice.kind === 'none' ? null : findBranchTip(choice.client, { repository, branch }, signal);
    },
    async findRepository({ id, name }, signal) {
      const choice = await apps.choose(name, null, signal);
      if (choice.kind === 'none') return null;
      const found = await findRepository(choice.client, id === 0 ? name : id, signal);
      return found === null || !apps.isPermitted(found.name, null) ? null : found;
    },
    listings: (signal) => listAll({ apps, signal }, appIds),
    leftOut: () => [],
    retell(sinceMs, signal) {
      const appClients = appIds.flatMap((app) => apps.asApp(app) ?? []);
      return retell({ appClients, sinceMs, signal });
    },
    cloneUrl: (repository) => `${webUrl}/${repository}.git`,
    async cloneAccess(repository, signal) {
      const speaker = await speakFor({ apps, signal }, repository, null);
      const token = (await speaker.token(signal)).reveal();
      return { authorization: `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}` };
    },
    findSource: (url) => findGithubSource({ webUrl, apiUrl: http.apiUrl }, url),
    sourceAccess: ({ repository }, reader, signal) =>
      accessGithubSource(apps, { source: repository, reader }, signal),
    headRefOf: (number) => `refs/pull/${number}/head`,
    async putGate({ repository, baseBranch }, gate, { id, signal }) {
      const { client, appId } = await speakFor({ apps, signal }, repository, baseBranch);
      return putGate({ client, appId, repository }, { gate, knownId: id, signal });
    },
    ...createGithubTalk(speak),
    ...createGithubMerging(speak),
  };
};
