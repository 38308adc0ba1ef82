// The first field of a machine's line: `host`, `ssh-ng://user@host:port?ssh-key=…`.
import type { Machine } from './machine.ts';

export type MachineAddress = Pick<
  Machine,
  'host' | 'user' | 'port' | 'identityFile' | 'hostKey' | 'compress' | 'remoteProgram' | 'remoteStore'
> & {
  /** True where Nix itself would speak to `nix-store --serve`. */
  readonly isLegacy: boolean;
};

/** Thrown with what is wrong with a line; continues a sentence that names it. */
export class MachineFault extends Error {
  readonly code = 'MACHINE_LINE_INVALID';
  constructor(message: string) {
    super(message);
    this.name = 'MachineFault';
  }
}

const quote = (text: string): string => JSON.stringify(text);

/** `ssh` would take a leading dash for an option; what else is in a name here, it takes for one. */
const hostName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const userName = /^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/;
const ipv6 = /^[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?$/;

const readPort = (text: string): number => {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new MachineFault(`has the port ${quote(text)}: it is 1 to 65535`);
  return port;
};

const readHost = (text: string): Pick<Machine, 'host' | 'port'> => {
  const bracketed = /^\[(?<host>[^\]]*)\](?::(?<port>.*))?$/.exec(text)?.groups;
  const plain = /^(?<host>[^:]*)(?::(?<port>[^:]*))?$/.exec(text)?.groups;
  const { host = '', port } = bracketed ?? plain ?? {};
  if (!(bracketed === undefined ? hostName : ipv6).test(host)) {
    throw new MachineFault(
      `has ${quote(text)} for a host: write a name, an address, or an IPv6 address in brackets`,
    );
  }
  return { host, port: port === undefined ? null : readPort(port) };
};

/** The kinds of keys that ssh has, and the key itself; what follows is a comment. */
const publicKey = /^(?<key>(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3})(?:[ \t][^\r\n]*)?\s*$/;

/** @param text a public host key in base 64, as Nix wants it: `base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub` */
export const readHostKey = (text: string): string => {
  const decoded = Buffer.from(text, 'base64').toString('latin1');
  const key = publicKey.exec(decoded)?.groups?.['key'];
  if (key === undefined) {
    throw new MachineFault(
      'has a host key that is none: it is the output of "base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub" there',
    );
  }
  return key;
};

/** What Nix knows as well, and means nothing here. */
const withoutMeaning: ReadonlySet<string> = new Set([
  ...['max-connections', 'path-info-cache-size', 'priority', 'system-features', 'trusted', 'want-mass-query'],
]);

const known = ['ssh-key', 'base64-ssh-public-host-key', 'compress', 'remote-program', 'remote-store'];

const isTrue = (name: string, value: string): boolean => {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new MachineFault(`has ${name}=${value}: it is true or false`);
};

const readSettings = (query: string, isLegacy: boolean): ReadonlyMap<string, string> => {
  const settings = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (withoutMeaning.has(name)) continue;
    if (!known.includes(name)) {
      throw new MachineFault(
        `has the setting ${quote(name)} in its address, which is not known here: ${known.join(', ')} are`,
      );
    }
    if (value === '') throw new MachineFault(`has ${name} without a value in its address`);
    settings.set(name, value);
  }
  if (isLegacy && settings.has('remote-program')) {
    throw new MachineFault(
      'names a remote-program for nix-store, which is not used here: make it ssh-ng:// and name nix-daemon',
    );
  }
  return settings;
};

const schemeOf = (text: string): readonly [scheme: string, rest: string] => {
  const match = /^(?<scheme>[^:/?]*):\/\/(?<rest>.*)$/.exec(text)?.groups;
  if (match !== undefined) return [match['scheme'] ?? '', match['rest'] ?? ''];
  // Nix's own words for stores of this machine.
  if (['auto', 'daemon', 'local'].includes(text) || /^[/.]/.test(text)) return [text, ''];
  return ['ssh', text];
};

/** @throws MachineFault */
export const parseMachineAddress = (text: string): MachineAddress => {
  const [scheme, rest] = schemeOf(text);
  if (scheme !== 'ssh' && scheme !== 'ssh-ng') {
    throw new MachineFault(`has the address ${quote(text)}, where nothing is built: write ssh-ng://HOST`);
  }
  const isLegacy = scheme === 'ssh';
  const mark = rest.indexOf('?');
  const [authority, query] = mark < 0 ? [rest, ''] : [rest.slice(0, mark), rest.slice(mark + 1)];
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? null : authority.slice(0, at);
  if (user !== null && !userName.test(user)) throw new MachineFault(`has the user ${quote(user)}`);
  const settings = readSettings(query, isLegacy);
  const hostKey = settings.get('base64-ssh-public-host-key');
  const compress = settings.get('compress');
  return {
    ...readHost(authority.slice(at + 1).replace(/\/$/, '')),
    user,
    identityFile: settings.get('ssh-key') ?? null,
    hostKey: hostKey === undefined ? null : readHostKey(hostKey),
    compress: compress !== undefined && isTrue('compress', compress),
    remoteProgram:
      settings
        .get('remote-program')
        ?.split(' ')
        .filter((word) => word !== '') ?? null,
    remoteStore: settings.get('remote-store') ?? null,
    isLegacy: isLegacy && text.includes('://'),
  };
};
