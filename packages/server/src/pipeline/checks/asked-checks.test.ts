// Which checks get the network: where the change, its base and the server all let them, and nowhere else.
import { expect, it } from 'vitest';
import { RepositoryConfigSchema } from '../../config/repository-config-schema.ts';
import { checksOf, withoutNetwork } from './asked-checks.ts';

const config = (network: boolean) =>
  RepositoryConfigSchema.parse({ checks: { fetch: { command: 'true', allow_network: network } } });

it('gives the network where the change asks for it, its base allows it and the server does', () => {
  const networksOf = (head: boolean, base: boolean | null) =>
    checksOf(config(head), base === null ? null : config(base)).flatMap((check) => [
      check.network,
      withoutNetwork(check).network,
    ]);
  expect(networksOf(true, true)).toEqual(['allowed', 'refused']);
  expect(networksOf(true, false)).toEqual(['unallowed', 'unallowed']);
  expect(networksOf(true, null)).toEqual(['unallowed', 'unallowed']);
  expect(networksOf(false, true)).toEqual(['none', 'none']);
});
