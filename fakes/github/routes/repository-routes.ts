// Routes about a repository itself, its branches, and what protects them.
import { readCommit } from '../git/commits.ts';
import {
  type Answer,
  type Call,
  type Need,
  ok,
  openRepository,
  param,
  type Routes,
  takePage,
} from '../http/call.ts';
import { renderBranch, renderCommit } from '../render/commit.ts';
import { renderFullRepository, repositoryApiUrl, repositoryWebUrl } from '../render/repository.ts';
import type { Protection, Repository, Role } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { fullNameOf, isAtLeast, protectionOf, roleOf } from '../state/lookup.ts';
import { notFound, Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

const contents: Need = { any: ['contents'], level: 'read' };

/** What whoever asks may do there, as a person's role. */
const roleFor = ({ world, principal }: Call, repository: Repository): Role => {
  if (principal.kind === 'user') return roleOf(world, repository, principal.user);
  if (principal.kind !== 'installation') return 'read';
  return principal.token.permissions['contents'] === 'write' ? 'write' : 'read';
};

const findBranch = (repository: Repository, name: string): string => {
  if (!repository.branches.has(name)) throw new Refusal(404, 'Branch not found');
  return name;
};

const renderProtection = (
  world: World,
  repository: Repository,
  protection: Protection,
  branch: string,
): JsonObject => {
  const url = `${repositoryApiUrl(world, repository)}/branches/${encodeURIComponent(branch)}/protection`;
  const { requiredChecks, requiredReviews } = protection;
  return {
    url,
    enabled: true,
    required_status_checks: {
      url: `${url}/required_status_checks`,
      enforcement_level: 'everyone',
      strict: false,
      contexts: requiredChecks.map(({ context }) => context),
      contexts_url: `${url}/required_status_checks/contexts`,
      checks: requiredChecks.map(({ context, appId }) => ({ context, app_id: appId })),
    },
    enforce_admins: { url: `${url}/enforce_admins`, enabled: true },
    ...(requiredReviews === 0
      ? {}
      : {
          required_pull_request_reviews: {
            url: `${url}/required_pull_request_reviews`,
            dismiss_stale_reviews: false,
            require_code_owner_reviews: false,
            required_approving_review_count: requiredReviews,
          },
        }),
  };
};

const getBranch = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, contents);
  const name = findBranch(repository, param(call, 'branch'));
  const rendered = renderBranch(world, repository, name);
  const commit = await readCommit(world.git, repository.folder, repository.branches.get(name) ?? '');
  const protection = protectionOf(repository, name);
  const none = {
    enabled: false,
    required_status_checks: { enforcement_level: 'off', contexts: [], checks: [] },
  };
  return ok({
    ...rendered,
    commit: renderCommit(world, repository, commit),
    _links: {
      self: `${repositoryApiUrl(world, repository)}/branches/${encodeURIComponent(name)}`,
      html: `${repositoryWebUrl(world, repository)}/tree/${name}`,
    },
    protection: protection === null ? none : renderProtection(world, repository, protection, name),
  });
};

const getProtection = (call: Call): Answer => {
  const repository = openRepository(call, { any: ['administration'], level: 'read' });
  if (call.principal.kind === 'user' && !isAtLeast(roleFor(call, repository), 'admin')) throw notFound();
  const name = findBranch(repository, param(call, 'branch'));
  const protection = protectionOf(repository, name);
  if (protection === null) throw new Refusal(404, 'Branch not protected');
  return ok(renderProtection(call.world, repository, protection, name));
};

const getRules = (call: Call): Answer => {
  const repository = openRepository(call, { any: ['metadata'], level: 'read' });
  const protection = protectionOf(repository, param(call, 'branch'));
  const source = {
    ruleset_source_type: 'Repository',
    ruleset_source: fullNameOf(call.world, repository),
    ruleset_id: repository.id,
  };
  const queue = {
    type: 'merge_queue',
    ...source,
    parameters: {
      check_response_timeout_minutes: 60,
      grouping_strategy: 'ALLGREEN',
      max_entries_to_build: 5,
      max_entries_to_merge: 5,
      merge_method: (repository.mergeMethods[0] ?? 'merge').toUpperCase(),
      min_entries_to_merge: 1,
      min_entries_to_merge_wait_minutes: 5,
    },
  };
  const checks = {
    type: 'required_status_checks',
    ...source,
    parameters: {
      strict_required_status_checks_policy: false,
      required_status_checks: (protection?.requiredChecks ?? []).map(({ context, appId }) => ({
        context,
        ...(appId === null ? {} : { integration_id: appId }),
      })),
    },
  };
  const rules = [
    ...(protection?.mergeQueue === true ? [queue] : []),
    ...((protection?.requiredChecks.length ?? 0) > 0 ? [checks] : []),
  ];
  const { items, headers } = takePage(call, rules);
  return { ...ok(items), headers };
};

export const repositoryRoutes: Routes = {
  'GET /repos/{owner}/{repo}': (call) => {
    const repository = openRepository(call, { any: ['metadata'], level: 'read' });
    return ok(renderFullRepository(call.world, repository, roleFor(call, repository)));
  },
  'GET /repos/{owner}/{repo}/branches': (call) => {
    const repository = openRepository(call, contents);
    const wanted = call.query.get('protected');
    const names = [...repository.branches.keys()].filter(
      (name) => wanted === null || repository.protections.has(name) === (wanted === 'true'),
    );
    const { items, headers } = takePage(call, names);
    return { ...ok(items.map((name) => renderBranch(call.world, repository, name))), headers };
  },
  'GET /repos/{owner}/{repo}/branches/{branch}': getBranch,
  'GET /repos/{owner}/{repo}/branches/{branch}/protection': getProtection,
  'GET /repos/{owner}/{repo}/rules/branches/{branch}': getRules,
};
