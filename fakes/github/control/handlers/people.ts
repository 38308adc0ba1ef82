// Commands about people and organizations.
import { randomBytes } from 'node:crypto';
import { createAccount } from '../../actions/accounts.ts';
import type { World } from '../../state/world.ts';
import type { CommandHandlers } from '../control.ts';
import type { Finding } from '../finding.ts';

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

export const peopleHandlers = (
  world: World,
  find: Finding,
): Some<'createOrganization' | 'createUser' | 'setMember' | 'setRole'> => ({
  createUser: (input) => {
    const user = createAccount(world, { ...input, kind: 'User' });
    const token = `ghp_${randomBytes(18).toString('hex')}`;
    world.tokens.set(token, { kind: 'user', userId: user.id, appId: null, expiresAtMs: null });
    return { id: user.id, login: user.login, token };
  },
  createOrganization: ({ login, members }) => {
    const people = Object.entries(members).map(([name, role]) => [find.account(name).id, role] as const);
    const organization = createAccount(world, { login, kind: 'Organization' });
    for (const [id, role] of people) organization.members.set(id, role);
    return { id: organization.id };
  },
  setMember: ({ organization, user, role }) => {
    const { members } = find.account(organization);
    if (role === null) members.delete(find.account(user).id);
    else members.set(find.account(user).id, role);
    return null;
  },
  setRole: ({ repository, user, role }) => {
    const { collaborators } = find.repository(repository);
    if (role === null) collaborators.delete(find.account(user).id);
    else collaborators.set(find.account(user).id, role);
    return null;
  },
});
