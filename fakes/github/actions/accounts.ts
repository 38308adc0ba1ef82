// People and organizations come to be.
import type { Account } from '../state/entities.ts';
import { findAccount } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

export const createAccount = (
  world: World,
  given: {
    readonly login: string;
    readonly kind: Account['kind'];
    readonly name?: string | undefined;
    readonly email?: string | undefined;
  },
): Account => {
  if (findAccount(world, given.login) !== null) throw new Refusal(422, `there is a ${given.login} already`);
  const account: Account = {
    id: world.nextId(),
    login: given.login,
    kind: given.kind,
    name: given.name ?? null,
    email: given.email ?? null,
    members: new Map(),
    createdAtMs: world.clock.now(),
  };
  world.accounts.set(account.id, account);
  return account;
};

/** Who GitHub says did what it does by itself. */
export const ghost = (world: World): Account =>
  findAccount(world, 'web-flow') ?? createAccount(world, { login: 'web-flow', kind: 'User' });

export const githubBot = (world: World): Account =>
  findAccount(world, 'github-merge-queue[bot]') ??
  createAccount(world, { login: 'github-merge-queue[bot]', kind: 'Bot' });
