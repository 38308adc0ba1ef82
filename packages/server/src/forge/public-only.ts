// A hosted forge without its private repositories: as long as nobody signs in, whatever is judged can be read by all
// who reach the server.
import type { ForgeEvent } from './forge-event.ts';
import type { DeliveryReading, HostedForge, HostedListing } from './hosted-forge.ts';

const why = 'is of a private repository, which this version does not serve';

const readEvent = (
  reading: Extract<DeliveryReading, { kind: 'event' }>,
  event: ForgeEvent,
): DeliveryReading => {
  if (!('repository' in event) || !event.repository.isPrivate) return reading;
  const { repository, by } = event;
  // It was public until now: what is open there is closed.
  if (event.kind === 'repository-visibility') {
    return { ...reading, event: { kind: 'repository-deleted', repository, by } };
  }
  return { kind: 'ignored', id: reading.id, name: reading.name, why };
};

async function* publicOf(
  listings: AsyncIterable<HostedListing>,
  onEnd: (hidden: number) => void,
): AsyncGenerator<HostedListing> {
  let hidden = 0;
  for await (const listing of listings) {
    if (listing.repository.isPrivate) hidden += 1;
    else yield listing;
  }
  onEnd(hidden);
}

/** How many, and no names: whoever reaches the server may read this. */
const leftOutText = (host: string, hidden: number): string[] =>
  hidden === 0
    ? []
    : [
        `${hidden} private ${hidden === 1 ? 'repository' : 'repositories'} of ${host} ${hidden === 1 ? 'is' : 'are'} not served: this version shows what it judges to all who reach it`,
      ];

export const withoutPrivate = (forge: HostedForge): HostedForge => {
  let hidden = 0;
  return {
    ...forge,
    leftOut: () => [...forge.leftOut(), ...leftOutText(forge.host, hidden)],
    read(delivery) {
      const reading = forge.read(delivery);
      return reading.kind === 'event' ? readEvent(reading, reading.event) : reading;
    },
    listings: (signal) =>
      publicOf(forge.listings(signal), (counted) => {
        hidden = counted;
      }),
    async findRepository(repository, signal) {
      const found = await forge.findRepository(repository, signal);
      return found?.isPrivate === true ? null : found;
    },
  };
};
