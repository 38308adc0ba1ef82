// What checks get of what they ask for: the network where the change, its base and the server all let them, and time.
import { expect, it } from 'vitest';
import { RepositoryConfigSchema } from '../../config/repository-config-schema.ts';
import { checksOf, describeLessTime, withinTime, withoutNetwork } from './asked-checks.ts';

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

it('gives no more time than the server has for a check, and says so', () => {
  const seconds = { short: 60, same: 600, long: 601, longer: 86_400 };
  const named = Object.entries(seconds).map(([name, timeout_seconds]): [string, object] => [
    name,
    { command: 'true', timeout_seconds },
  ]);
  const checks = checksOf(RepositoryConfigSchema.parse({ checks: Object.fromEntries(named) }), null);
  const given = checks.map((check) => [check.name, withinTime(check, 600_000).timeoutMs / 1000]);
  expect(Object.fromEntries(given)).toEqual({ short: 60, same: 600, long: 600, longer: 600 });
  expect(describeLessTime(checks, 600_000)).toMatch(
    /longer than 600 s \(sandbox\.max_timeout_seconds\).*ask for more: long \(601 s\), longer \(86400 s\)\.$/,
  );
  expect(describeLessTime(checks, 86_400_000)).toBeNull();
});
