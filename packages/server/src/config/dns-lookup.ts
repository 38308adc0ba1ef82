// Names as DNS knows them, without the system's own lookup: that one takes a thread of the few that all files are read by
// for as long as a name's server likes, and so is nothing for names that strangers wrote.
import { Resolver } from 'node:dns/promises';

const timeoutMs = 5000;
const tries = 2;

/**
 * Every address of a name; neither the hosts file nor a search domain is asked.
 * @param servers `address:port` @default those of the system
 * @throws what DNS says where there is none
 */
export const lookUpByDns = async (
  name: string,
  servers: readonly string[] = [],
): Promise<readonly string[]> => {
  const resolver = new Resolver({ timeout: timeoutMs, tries });
  if (servers.length > 0) resolver.setServers(servers);
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  if (four.status === 'rejected' && six.status === 'rejected') throw four.reason;
  return [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
};
