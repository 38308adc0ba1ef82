// What a command names, found; a name that means nothing is a refusal that says so.
import type { Account, App, Installation, Issue, Pull, Repository } from '../state/entities.ts';
import { findAccount, findConversation, findRepository } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

const found = <T>(value: T | null | undefined, what: string): T => {
  if (value === null || value === undefined) throw new Refusal(404, `the fake has no ${what}`);
  return value;
};

export const createFinding = (world: World) => {
  const repository = (name: string): Repository => {
    const [owner = '', short = ''] = name.split('/');
    return found(findRepository(world, owner, short), `repository ${name}`);
  };
  const conversation = (named: { readonly repository: string; readonly number: number }): Issue | Pull =>
    found(
      findConversation(world, repository(named.repository), named.number),
      `issue or pull request ${named.repository}#${named.number}`,
    );
  return {
    repository,
    conversation,
    account: (login: string): Account => found(findAccount(world, login), `account ${login}`),
    app: (id: number): App => found(world.apps.get(id), `app ${id}`),
    installation: (id: number): Installation => found(world.installations.get(id), `installation ${id}`),
    pull: (named: { readonly repository: string; readonly number: number }): Pull => {
      const one = conversation(named);
      return found(one.kind === 'pull' ? one : null, `pull request ${named.repository}#${named.number}`);
    },
    inMap: <T>(map: ReadonlyMap<number, T>, id: number, what: string): T =>
      found(map.get(id), `${what} ${id}`),
  };
};

export type Finding = ReturnType<typeof createFinding>;
