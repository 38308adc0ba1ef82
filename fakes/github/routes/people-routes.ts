// Routes about people: who they are, and what they may do.
import {
  type Answer,
  type Call,
  idParam,
  nothing,
  ok,
  openRepository,
  param,
  type Routes,
  takePage,
} from '../http/call.ts';
import { requesterOf } from '../http/principal.ts';
import { renderOrganization, renderProfile, renderUser } from '../render/account.ts';
import type { Account, Role } from '../state/entities.ts';
import { findAccount, ownerOf, roleOf } from '../state/lookup.ts';
import { forbidden, notFound, Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

const mustFindAccount = (world: World, login: string): Account => {
  const account = findAccount(world, login);
  if (account === null) throw notFound();
  return account;
};

const ownUser = ({ principal }: Call): Account => {
  if (principal.kind === 'nobody') throw new Refusal(401, 'Requires authentication');
  if (principal.kind !== 'user') throw forbidden();
  return principal.user;
};

const findOrganization = ({ world }: Call, login: string): Account => {
  const account = mustFindAccount(world, login);
  if (account.kind !== 'Organization') throw notFound();
  return account;
};

/** An app sees members where it is installed with that permission, a member sees the others. */
const mayReadMembers = ({ world, principal }: Call, organization: Account): boolean => {
  switch (principal.kind) {
    case 'installation':
      return (
        principal.installation.accountId === organization.id &&
        world.installations.has(principal.installation.id) &&
        principal.token.permissions['members'] !== undefined
      );
    case 'user':
      return organization.members.has(principal.user.id);
    case 'app':
    case 'nobody':
      return false;
  }
};

const renderMembership = (world: World, organization: Account, user: Account): Answer => {
  const role = organization.members.get(user.id);
  if (role === undefined) throw notFound();
  const api = `${world.urls.api}/orgs/${organization.login}`;
  return ok({
    url: `${api}/memberships/${user.login}`,
    state: 'active',
    role,
    organization_url: api,
    organization: renderOrganization(world, organization),
    user: renderUser(world, user),
  });
};

/** The four words of the older permission beside the role's own name. */
const permissionWord = (role: Role): string => {
  if (role === 'maintain') return 'write';
  return role === 'triage' ? 'read' : role;
};

const getPermission = (call: Call): Answer => {
  const { world } = call;
  const repository = openRepository(call, { any: ['metadata'], level: 'read' });
  const login = param(call, 'username');
  const account = mustFindAccount(world, login);
  if (account.kind !== 'User') throw new Refusal(404, `${login} is not a user`);
  const role = roleOf(world, repository, account);
  return ok({
    permission: permissionWord(role),
    role_name: role,
    user: { ...renderUser(world, account), permissions: permissionFlags(role), role_name: role },
  });
};

const permissionFlags = (role: Role) => {
  const order: readonly Role[] = ['read', 'triage', 'write', 'maintain', 'admin'];
  const has = (wanted: Role): boolean => order.indexOf(role) >= order.indexOf(wanted);
  return {
    pull: has('read'),
    triage: has('triage'),
    push: has('write'),
    maintain: has('maintain'),
    admin: has('admin'),
  };
};

const isCollaborator = (call: Call): Answer => {
  const { world } = call;
  const repository = openRepository(call, { any: ['metadata'], level: 'read' });
  const account = mustFindAccount(world, param(call, 'username'));
  const isOne =
    repository.collaborators.has(account.id) ||
    repository.ownerId === account.id ||
    ownerOf(world, repository).members.has(account.id);
  if (!isOne) throw notFound();
  return nothing;
};

const getRateLimit = ({ limits, principal }: Call): Answer => {
  const core = limits.read(requesterOf(principal));
  const other = { ...core, limit: 5000, used: 0, remaining: 5000 };
  return ok({ resources: { core: { ...core }, search: other, graphql: other }, rate: { ...core } });
};

export const peopleRoutes: Routes = {
  'GET /rate_limit': getRateLimit,
  'GET /user': (call) => ok(renderProfile(call.world, ownUser(call))),
  'GET /users/{username}': (call) =>
    ok(renderProfile(call.world, mustFindAccount(call.world, param(call, 'username')))),
  'GET /user/{account_id}': (call) => {
    const account = call.world.accounts.get(idParam(call, 'account_id'));
    if (account === undefined) throw notFound();
    return ok(renderProfile(call.world, account));
  },
  'GET /user/orgs': (call) => {
    const user = ownUser(call);
    const own = [...call.world.accounts.values()].filter(({ members }) => members.has(user.id));
    const { items, headers } = takePage(call, own);
    return { ...ok(items.map((one) => renderOrganization(call.world, one))), headers };
  },
  'GET /user/memberships/orgs/{org}': (call) =>
    renderMembership(call.world, findOrganization(call, param(call, 'org')), ownUser(call)),
  'GET /orgs/{org}/members/{username}': (call) => {
    const organization = findOrganization(call, param(call, 'org'));
    const user = mustFindAccount(call.world, param(call, 'username'));
    if (!mayReadMembers(call, organization)) {
      const login = organization.login;
      const location = `${call.world.urls.api}/orgs/${login}/public_members/${user.login}`;
      return { status: 302, body: null, headers: { location } };
    }
    if (!organization.members.has(user.id)) throw notFound();
    return nothing;
  },
  'GET /orgs/{org}/memberships/{username}': (call) => {
    const organization = findOrganization(call, param(call, 'org'));
    if (!mayReadMembers(call, organization)) throw forbidden();
    return renderMembership(call.world, organization, mustFindAccount(call.world, param(call, 'username')));
  },
  'GET /repos/{owner}/{repo}/collaborators/{username}': isCollaborator,
  'GET /repos/{owner}/{repo}/collaborators/{username}/permission': getPermission,
};
