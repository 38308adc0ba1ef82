// Private repositories are seen by nobody, and what was public is closed when it is so no more.
import type { CommitSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { EventRepository, ForgeEvent } from './forge-event.ts';
import type { HostedForge, HostedListing } from './hosted-forge.ts';
import { withoutPrivate } from './public-only.ts';

const repository = (isPrivate: boolean): EventRepository => ({
  id: 1,
  name: 'me/set',
  defaultBranch: 'main',
  isPrivate,
});

const open = (event: ForgeEvent, listings: readonly HostedListing[] = []) =>
  withoutPrivate({
    read: () => ({ kind: 'event', id: '1', name: 'push', event }),
    host: 'forge.example',
    leftOut: () => [],
    listings: async function* () {
      yield* listings;
    },
    findRepository: ({ id }: { id: number }) => Promise.resolve(repository(id === 1)),
    // Nothing else of it is asked.
  } as unknown as HostedForge);

const delivery = { headers: {}, body: new Uint8Array() };
const pushed = (isPrivate: boolean): ForgeEvent => ({
  kind: 'branch-pushed',
  branch: 'main',
  before: null,
  after: 'a'.repeat(40) as CommitSha,
  repository: repository(isPrivate),
  by: null,
});

it('lets through what is public, and nothing that is private', async () => {
  expect(open(pushed(false)).read(delivery)).toMatchObject({
    kind: 'event',
    event: { kind: 'branch-pushed' },
  });
  const why = 'is of a private repository, which this version does not serve';
  expect(open(pushed(true)).read(delivery)).toMatchObject({ kind: 'ignored', id: '1', why });
  expect(open({ kind: 'ping' }).read(delivery)).toMatchObject({ kind: 'event' });
  const listings = [true, false].map(
    (isPrivate): HostedListing => ({
      repository: repository(isPrivate),
      changes: [],
      isComplete: true,
      branches: [],
    }),
  );
  const seen: HostedListing[] = [];
  const forge = open({ kind: 'ping' }, listings);
  const { signal } = new AbortController();
  for await (const one of forge.listings(signal)) seen.push(one);
  expect(seen).toEqual([listings[1]]);
  // It says how many there are, and nothing by which they could be known.
  expect(forge.leftOut()).toEqual([
    expect.stringContaining('1 private repository of forge.example is not served'),
  ]);
  expect(forge.leftOut().join()).not.toContain('me/set');
  const find = (id: number) => forge.findRepository({ id, name: 'me/set' }, signal);
  expect([await find(1), await find(2)]).toEqual([null, repository(false)]);
});

it('takes one that becomes private for one that is gone', () => {
  const event: ForgeEvent = {
    kind: 'repository-visibility',
    isPrivate: true,
    repository: repository(true),
    by: null,
  };
  expect(open(event).read(delivery)).toMatchObject({ kind: 'event', event: { kind: 'repository-deleted' } });
});
