// Whom a destination makes us talk to, by its text alone. Every program reads odd spellings in its own way, so what could
// be read in two ways is refused.
import { isIP, isIPv4 } from 'node:net';
import { classifyAddress } from '../lib/address-class.ts';

export type Destination =
  /** `hosts`: names in lower case without a dot at the end, and addresses; none where it is a service's own. */
  | { readonly kind: 'remote'; readonly hosts: readonly string[] }
  | { readonly kind: 'file' }
  /** `why` continues a sentence that names the destination. */
  | { readonly kind: 'refused'; readonly why: string };

const refused = (why: string) => ({ kind: 'refused', why }) as const;

const schemes = 's3, https, http, ssh, ssh-ng or file';
const form =
  /^(?<scheme>s3|https?|ssh|ssh-ng|file):\/\/(?<authority>[^/?]*)(?<path>\/[^?]*)?(?:\?(?<query>.*))?$/;
const authorityForm =
  /^(?:(?<user>[^@]*)@)?(?<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?<port>\d{1,5}))?$/;
const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

type Host = { readonly kind: 'host'; readonly host: string } | ReturnType<typeof refused>;

/** A host without brackets, in the one spelling that everybody reads alike. */
const readHost = (text: string): Host => {
  const parsed = URL.parse(`http://${text}/`)?.hostname;
  if (parsed === undefined || parsed === '') return refused(`names the host ${text}, which is none`);
  const host = parsed.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  // 010.0.0.1 is 8.0.0.1 to some and 10.0.0.1 to others.
  if (isIPv4(host) && text !== host) {
    return refused(`spells an address in a way that programs read differently: write ${host}`);
  }
  if (isIP(host) !== 0) return { kind: 'host', host };
  const isName = host.length <= 253 && host.split('.').every((part) => label.test(part));
  return isName ? { kind: 'host', host } : refused(`names the host ${text}, which is none`);
};

const decode = (text: string): string | null => {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
};

/** Nix takes `host`, `host:port` and either behind a scheme. */
const endpointForm = /^(?:https?:\/\/)?(?<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\/?$/;

/** What a parameter adds to the hosts; of s3 `region=` becomes a part of one. */
const readParameter = (part: string, scheme: string): Host[] => {
  const [, name = '', given = ''] = /^([^=]*)=?(.*)$/s.exec(part) ?? [];
  const value = decode(given) ?? '';
  switch ((decode(name) ?? '').trim().toLowerCase()) {
    case 'endpoint': {
      const host = endpointForm.exec(value)?.groups?.['host'];
      return [host === undefined ? refused('has an endpoint= that is no host') : readHost(host)];
    }
    case 'region':
      return scheme !== 's3' || /^[a-z0-9-]+$/.test(value) ? [] : [refused('has a region= that is none')];
    default:
      return [];
  }
};

const userFault = (scheme: string, user: string | undefined): string | null => {
  if (user === undefined) return null;
  if (!scheme.startsWith('ssh')) return 'has a user before its host';
  return /^[A-Za-z0-9_][\w.-]*$/.test(user) ? null : 'has a user before its host that is no plain name';
};

/** Reads it without asking anybody. */
export const readDestination = (text: string): Destination => {
  const parts = form.exec(text)?.groups;
  // `#` ends a query for some and not for others; a backslash is a slash to some.
  if (parts === undefined || /[\s\\#\p{C}]/u.test(text)) return refused(`is no ${schemes} URL`);
  const { scheme = '', authority = '', query = '' } = parts;
  if (scheme === 'file') return authority === '' ? { kind: 'file' } : refused('is a file: URL with a host');
  const { user, host: written = '' } = authorityForm.exec(authority)?.groups ?? {};
  if (written === '') return refused('names no host that can be read in one way only');
  const fault = userFault(scheme, user);
  if (fault !== null) return refused(fault);
  // ssh would take it for an option.
  if (written.startsWith('-')) return refused('names a host that begins with "-"');
  const own = readHost(written);
  // Also where there are several of one name: which of them counts is the reader's affair.
  const all = [own, ...query.split(/[&;]/).flatMap((part) => readParameter(part, scheme))];
  const hosts: string[] = [];
  for (const one of all) {
    if (one.kind === 'refused') return one;
    // The first of an s3 URL is a bucket's name; no bucket may have an address for one.
    if (scheme !== 's3' || one !== own || isIP(one.host) !== 0) hosts.push(one.host);
  }
  return { kind: 'remote', hosts };
};

/** Where clouds tell their machines secrets; looked up elsewhere they can mean anything. */
const metadataNames: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.azure.com',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'instance-data',
  'instance-data.ec2.internal',
]);
const localNames = /^(?:.*\.)?(?:localhost[46]?|localdomain[46]?|ip6-(?:localhost|loopback))$/;

/** Why nothing may be sent to what a name resolved to, or null. */
export const addressFault = (address: string): string | null => {
  const kind = classifyAddress(address);
  return kind === 'public' ? null : `leads to ${address}, which is no public address (${kind})`;
};

/** Why nothing may be sent to that host, or null. */
const hostFault = (host: string): string | null => {
  if (isIP(host) !== 0) return addressFault(host);
  const name = host.toLowerCase().replace(/\.$/, '');
  if (localNames.test(name)) return `leads to ${name}, which is this machine`;
  const isMetadata = metadataNames.has(name) || name.endsWith('.metadata.google.internal');
  return isMetadata ? `leads to ${name}, where a cloud keeps its machines' credentials` : null;
};

const howToAllow = 'set security.allow_private_cache_hosts = true where that is meant';

/**
 * Why a destination is refused before anything is resolved, or null. Continues a sentence that names the key.
 * @param allowPrivate `security.allow_private_cache_hosts`
 */
export const destinationFault = (text: string, allowPrivate: boolean): string | null => {
  const destination = readDestination(text);
  if (allowPrivate) return null;
  switch (destination.kind) {
    case 'refused':
      return destination.why;
    case 'file':
      return 'may be a file: URL only with security.allow_private_cache_hosts = true';
    case 'remote': {
      const fault = destination.hosts.map(hostFault).find((one) => one !== null);
      return fault === undefined ? null : `${fault}: ${howToAllow}`;
    }
  }
};
