// The few fields and mutations of GitHub's GraphQL API that a merge queue needs: REST has none of it.

import { dequeuePull, enqueuePull } from '../actions/merge-queue.ts';
import { judgeMergeability } from '../actions/mergeability.ts';
import type { Journal } from '../http/journal.ts';
import type { Principal } from '../http/principal.ts';
import { isoTime, nodeId, readNodeId } from '../render/node-id.ts';
import { repositoryWebUrl } from '../render/repository.ts';
import type { Account, Pull, QueueEntry, Repository } from '../state/entities.ts';
import { isJsonObject, type Json, type JsonObject } from '../state/json.ts';
import {
  findPull,
  findRepository,
  fullNameOf,
  installationCovers,
  isAtLeast,
  protectionOf,
  queueOf,
  roleOf,
} from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';
import { type Field, parseQuery, type Query, QueryError, type Selection } from './parse-query.ts';

type Resolved = Json | Thing | readonly Thing[] | null;

/** An object of the graph: its type's name, and how each field is had. */
interface Thing {
  readonly type: string;
  readonly fields: Readonly<Record<string, (given: JsonObject) => Promise<Resolved> | Resolved>>;
}

export interface GraphqlDeps {
  readonly world: World;
  readonly principal: Principal;
  readonly journal: Journal;
}

const isThing = (value: Resolved): value is Thing =>
  typeof value === 'object' && value !== null && 'fields' in value && 'type' in value;

const text = (given: JsonObject, name: string): string => {
  const value = given[name];
  if (typeof value !== 'string') throw new QueryError(`Argument '${name}' is missing or no string`);
  return value;
};

const mayRead = ({ world, principal }: GraphqlDeps, repository: Repository): boolean => {
  if (!repository.private) return true;
  if (principal.kind === 'user') return isAtLeast(roleOf(world, repository, principal.user), 'read');
  return principal.kind === 'installation' && installationCovers(principal.installation, repository);
};

/** Who enqueues; an app needs to write contents for that. */
const actorFor = ({ world, principal }: GraphqlDeps, repository: Repository): Account => {
  const refused = new Refusal(403, 'Resource not accessible by integration');
  if (principal.kind === 'user') {
    if (isAtLeast(roleOf(world, repository, principal.user), 'write')) return principal.user;
    throw new Refusal(403, `${principal.user.login} does not have permission to merge`);
  }
  if (principal.kind !== 'installation' || !installationCovers(principal.installation, repository))
    throw refused;
  if (principal.token.permissions['contents'] !== 'write') throw refused;
  return mustGet(world.accounts, principal.app.botId);
};

const entryThing = (deps: GraphqlDeps, entry: QueueEntry): Thing => {
  const { world } = deps;
  const repository = mustGet(world.repositories, entry.repositoryId);
  const position = queueOf(world, repository, entry.baseRef).findIndex(({ id }) => id === entry.id) + 1;
  return {
    type: 'MergeQueueEntry',
    fields: {
      id: () => nodeId('MergeQueueEntry', entry.id),
      position: () => position,
      state: () => 'AWAITING_CHECKS',
      enqueuedAt: () => isoTime(entry.enqueuedAtMs),
      estimatedTimeToMerge: () => null,
      jump: () => false,
      solo: () => false,
      baseCommit: () => ({ type: 'Commit', fields: { oid: () => entry.baseSha } }),
      headCommit: () => ({ type: 'Commit', fields: { oid: () => entry.groupSha } }),
      pullRequest: () => pullThing(deps, mustGet(world.pulls, entry.pullId)),
    },
  };
};

const authorThing = ({ world }: GraphqlDeps, { authorId }: Pull): Thing | null => {
  const author = world.accounts.get(authorId);
  if (author === undefined) return null;
  return {
    type: author.kind,
    // GraphQL knows a bot by its slug alone, REST as `slug[bot]`.
    fields: { login: () => author.login.replace(/\[bot\]$/, ''), databaseId: () => author.id },
  };
};

const pullThing = (deps: GraphqlDeps, pull: Pull): Thing => {
  const { world } = deps;
  const entry = [...world.queue.values()].find(({ pullId }) => pullId === pull.id);
  const repository = mustGet(world.repositories, pull.repositoryId);
  const state = pull.merged === null ? pull.state.toUpperCase() : 'MERGED';
  const { mergeable } = judgeMergeability(world, pull);
  return {
    type: 'PullRequest',
    fields: {
      id: () => nodeId('PullRequest', pull.id),
      databaseId: () => pull.id,
      number: () => pull.number,
      title: () => pull.title,
      url: () => `${repositoryWebUrl(world, repository)}/pull/${pull.number}`,
      state: () => state,
      merged: () => pull.merged !== null,
      isDraft: () => pull.draft,
      author: () => authorThing(deps, pull),
      headRefOid: () => pull.headSha,
      headRefName: () => pull.headRef,
      baseRefOid: () => pull.baseSha,
      baseRefName: () => pull.baseRef,
      mergeable: () => (mergeable === null ? 'UNKNOWN' : mergeable ? 'MERGEABLE' : 'CONFLICTING'),
      isInMergeQueue: () => entry !== undefined,
      isMergeQueueEnabled: () => protectionOf(repository, pull.baseRef)?.mergeQueue === true,
      mergeQueueEntry: () => (entry === undefined ? null : entryThing(deps, entry)),
      repository: () => repositoryThing(deps, repository),
    },
  };
};

const queueThing = (deps: GraphqlDeps, repository: Repository, branch: string): Thing | null => {
  if (protectionOf(repository, branch)?.mergeQueue !== true) return null;
  const entries = queueOf(deps.world, repository, branch);
  return {
    type: 'MergeQueue',
    fields: {
      id: () => nodeId('MergeQueue', repository.id),
      url: () => `${repositoryWebUrl(deps.world, repository)}/queue/${branch}`,
      entries: ({ first }) => ({
        type: 'MergeQueueEntryConnection',
        fields: {
          totalCount: () => entries.length,
          nodes: () =>
            entries
              .slice(0, typeof first === 'number' ? first : undefined)
              .map((one) => entryThing(deps, one)),
        },
      }),
    },
  };
};

const repositoryThing = (deps: GraphqlDeps, repository: Repository): Thing => ({
  type: 'Repository',
  fields: {
    id: () => nodeId('Repository', repository.id),
    databaseId: () => repository.id,
    name: () => repository.name,
    nameWithOwner: () => fullNameOf(deps.world, repository),
    isPrivate: () => repository.private,
    mergeQueue: (given) =>
      queueThing(
        deps,
        repository,
        typeof given['branch'] === 'string' ? given['branch'] : repository.defaultBranch,
      ),
    pullRequest: ({ number }) => {
      const pull = findPull(deps.world, repository, Number(number));
      if (pull === null)
        throw new Refusal(
          404,
          `Could not resolve to a PullRequest with the number of ${JSON.stringify(number)}.`,
        );
      return pullThing(deps, pull);
    },
  },
});

const viewerLogin = ({ world, principal }: GraphqlDeps): string => {
  if (principal.kind === 'user') return principal.user.login;
  if (principal.kind === 'installation') return mustGet(world.accounts, principal.app.botId).login;
  throw new Refusal(401, 'Requires authentication');
};

const findPullNode = (deps: GraphqlDeps, id: string): Pull => {
  const found = readNodeId(id);
  const pull = found?.kind === 'PullRequest' ? deps.world.pulls.get(found.id) : undefined;
  const seen = pull !== undefined && mayRead(deps, mustGet(deps.world.repositories, pull.repositoryId));
  if (pull === undefined || !seen)
    throw new Refusal(404, `Could not resolve to a node with the global id of '${id}'`);
  return pull;
};

const queryRoot = (deps: GraphqlDeps): Thing => ({
  type: 'Query',
  fields: {
    viewer: () => ({ type: 'User', fields: { login: () => viewerLogin(deps) } }),
    repository: (given) => {
      const [owner, name] = [text(given, 'owner'), text(given, 'name')];
      const found = findRepository(deps.world, owner, name);
      if (found === null || !mayRead(deps, found))
        throw new Refusal(404, `Could not resolve to a Repository with the name '${owner}/${name}'.`);
      return repositoryThing(deps, found);
    },
    node: (given) => pullThing(deps, findPullNode(deps, text(given, 'id'))),
  },
});

const inputOf = (given: JsonObject): JsonObject => {
  const { input } = given;
  if (!isJsonObject(input)) throw new QueryError(`Argument 'input' is missing`);
  return input;
};

const mutationRoot = (deps: GraphqlDeps): Thing => ({
  type: 'Mutation',
  fields: {
    enqueuePullRequest: async (given) => {
      const input = inputOf(given);
      const pull = findPullNode(deps, text(input, 'pullRequestId'));
      const by = actorFor(deps, mustGet(deps.world.repositories, pull.repositoryId));
      const { expectedHeadOid, clientMutationId = null } = input;
      const expectedHead = typeof expectedHeadOid === 'string' ? expectedHeadOid : null;
      const entry = await enqueuePull(deps.world, pull, { by, expectedHead });
      return {
        type: 'EnqueuePullRequestPayload',
        fields: { clientMutationId: () => clientMutationId, mergeQueueEntry: () => entryThing(deps, entry) },
      };
    },
    dequeuePullRequest: async (given) => {
      const input = inputOf(given);
      const pull = findPullNode(deps, text(input, 'id'));
      const by = actorFor(deps, mustGet(deps.world.repositories, pull.repositoryId));
      const entry = await dequeuePull(deps.world, pull, by);
      return {
        type: 'DequeuePullRequestPayload',
        fields: {
          clientMutationId: () => input['clientMutationId'] ?? null,
          mergeQueueEntry: () => entryThing(deps, entry),
        },
      };
    },
  },
});

const resolveField = async (thing: Thing, field: Field): Promise<Json> => {
  if (field.name === '__typename') return thing.type;
  const read = thing.fields[field.name];
  if (read === undefined) throw new QueryError(`Field '${field.name}' doesn't exist on type '${thing.type}'`);
  const value = await read(field.arguments);
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const one of value as readonly Resolved[])
      items.push(isThing(one) ? await resolveThing(one, field.selection) : null);
    return items;
  }
  if (!isThing(value)) return value as Json;
  if (field.selection.length === 0)
    throw new QueryError(`Field must have selections (field '${field.name}' returns ${value.type})`);
  return resolveThing(value, field.selection);
};

const resolveThing = async (thing: Thing, selection: readonly Selection[]): Promise<JsonObject> => {
  const found: Record<string, Json> = {};
  for (const one of selection) {
    if (one.kind === 'field') found[one.field.alias] = await resolveField(thing, one.field);
    else if (one.type === thing.type) Object.assign(found, await resolveThing(thing, one.selection));
  }
  return found;
};

const errorTypes: Readonly<Record<number, string>> = {
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  422: 'UNPROCESSABLE',
};

const fail = (query: Query | null, error: unknown, journal: Journal): JsonObject => {
  if (error instanceof Refusal) {
    const [first] = query?.selection ?? [];
    const path = first?.kind === 'field' ? [first.field.alias] : [];
    return {
      data: Object.fromEntries(path.map((name) => [name, null])),
      errors: [{ type: errorTypes[error.status] ?? 'UNPROCESSABLE', path, message: error.message }],
    };
  }
  if (!(error instanceof QueryError)) throw error;
  journal.record({ kind: 'request', what: 'POST /graphql', problems: [error.message] });
  return { errors: [{ message: error.message }] };
};

/** The body of the answer, which is 200 even where it says that something went wrong. */
export const answerQuery = async (deps: GraphqlDeps, body: Json): Promise<JsonObject> => {
  let query: Query | null = null;
  try {
    const request = isJsonObject(body) ? body : {};
    const { variables } = request;
    query = parseQuery(text(request, 'query'), isJsonObject(variables) ? variables : {});
    const root = query.operation === 'query' ? queryRoot(deps) : mutationRoot(deps);
    return { data: await resolveThing(root, query.selection) };
  } catch (error) {
    return fail(query, error, deps.journal);
  }
};
