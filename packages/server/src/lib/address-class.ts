// What kind of place an IP address is. Only `public` ones can be reached from everywhere, and belong to nobody's network
// inside.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'carrier-grade NAT'
  | 'unspecified'
  | 'multicast'
  | 'unique-local'
  /** Where a cloud tells its machines their credentials, at an address that is public by its form. */
  | 'cloud metadata'
  /** For documentation, tests, tunnels, or nothing yet. */
  | 'reserved'
  /** No address at all. */
  | 'invalid';

const classes: Readonly<Record<string, AddressClass>> = {
  unicast: 'public',
  loopback: 'loopback',
  private: 'private',
  linkLocal: 'link-local',
  carrierGradeNat: 'carrier-grade NAT',
  unspecified: 'unspecified',
  multicast: 'multicast',
  uniqueLocal: 'unique-local',
  deprecatedSiteLocal: 'private',
};

/** Azure's: see "What is IP address 168.63.129.16?" of its documentation. */
const publicMetadata: ReadonlySet<string> = new Set(['168.63.129.16']);

const classifyIpv4 = (bytes: readonly number[]): AddressClass => {
  const address = new ipaddr.IPv4([...bytes]);
  if (publicMetadata.has(address.toString())) return 'cloud metadata';
  return classes[address.range()] ?? 'reserved';
};

/** Of the addresses that carry an IPv4 one: its first byte's place. Both ways lead to the IPv4 network. */
const embeddedAt: Readonly<Record<string, number>> = { ipv4Mapped: 12, rfc6052: 12, '6to4': 2 };

/** RFC 8215: what a network does with these is its own affair. */
const localTranslation = ipaddr.IPv6.parseCIDR('64:ff9b:1::/48');

const classifyIpv6 = (address: ipaddr.IPv6): AddressClass => {
  const range = address.range();
  const bytes = address.toByteArray();
  const at = embeddedAt[range];
  if (at !== undefined && !address.match(localTranslation)) return classifyIpv4(bytes.slice(at, at + 4));
  // RFC 4291: what is given out today is below 2000::/3; `::7f00:1` and the like are not.
  const isGlobal = ((bytes[0] ?? 0) & 0xe0) === 0x20;
  if (range === 'unicast' && !isGlobal) return 'reserved';
  return classes[range] ?? 'reserved';
};

/** @param text an address as `getaddrinfo` and URLs write it, IPv6 without brackets, perhaps with a zone */
export const classifyAddress = (text: string): AddressClass => {
  // The library also reads 127.1 and 0x7f000001: whoever means those has to say what they come to.
  if (isIP(text) === 0) return 'invalid';
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv6 ? classifyIpv6(address) : classifyIpv4(address.toByteArray());
};
