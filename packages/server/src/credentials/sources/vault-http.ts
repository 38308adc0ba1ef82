// Questions to a Vault server: its answers are judged by their status, and its redirects looked at before they are
// followed. https://developer.hashicorp.com/vault/api-docs
import { classifyAddress } from '../../lib/address-class.ts';
import { type Answer, ask, isMetadataAddress } from '../ask.ts';
import { CredentialError } from '../credential-error.ts';

export interface VaultAccess {
  /** As ekaci.toml names it. */
  readonly address: string;
  readonly token: string;
  /** The variable that holds the token. */
  readonly tokenVariable: string;
  readonly namespace: string | null;
  /** In PEM; null: the certificates that Node knows. */
  readonly ca: string | null;
}

export type VaultAnswer = Extract<Answer, { kind: 'answered' }>;

/** The largest secret that Vault keeps by default is half of it. */
const maxBytes = 1024 * 1024;
/** A standby sends to the active server, which answers. */
const maxRedirects = 2;

const isLoopbackName = (host: string): boolean =>
  host === 'localhost' || classifyAddress(host.replace(/^\[(.*)\]$/, '$1')) === 'loopback';

/** Never where a cloud gives out secrets; a server elsewhere has no business with this machine's own ports. */
const allowsFrom = (first: URL) => (address: string) =>
  !isMetadataAddress(address) && (isLoopbackName(first.hostname) || classifyAddress(address) !== 'loopback');

const refusedRedirect = (access: VaultAccess, why: string): CredentialError =>
  new CredentialError(
    'CREDENTIAL_REDIRECT_REFUSED',
    `Vault at ${access.address} sends elsewhere, ${why}: name the address of the server that answers itself`,
  );

const tlsFault = (code: string): string => {
  if (/^(?:EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)$/.test(code)) {
    return `does not speak TLS as this server does (${code}): is its address one with http:// in front?`;
  }
  if (code.startsWith('ERR_SSL'))
    return `does not agree on TLS with this server (${code}): see its settings of TLS`;
  return `shows a certificate that is not trusted here (${code}): name the one of its authority in VAULT_CACERT`;
};

const failed = (access: VaultAccess, { why, code }: Extract<Answer, { kind: 'failed' }>): CredentialError => {
  const at = `Vault at ${access.address}`;
  switch (why) {
    case 'unreachable': {
      const message = `${at} was not reached (${code}): is it up, and can this machine reach it?`;
      return new CredentialError('CREDENTIAL_UNREACHABLE', message);
    }
    case 'tls':
      return new CredentialError('CREDENTIAL_TLS', `${at} ${tlsFault(code)}`);
    case 'too-large':
      return new CredentialError(
        'CREDENTIAL_ANSWER_INVALID',
        `${at} answers with more than 1 MiB: is it a Vault?`,
      );
    case 'address':
      return refusedRedirect(access, 'to an address that is no place for a Vault');
  }
};

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** @throws CredentialError CREDENTIAL_REDIRECT_REFUSED */
const followed = (access: VaultAccess, from: URL, { headers }: VaultAnswer): URL => {
  const to = URL.parse(headers.location ?? '', from.href);
  if (to === null) throw refusedRedirect(access, 'and does not say where to');
  const isKept = to.protocol === from.protocol || to.protocol === 'https:';
  if (!isKept) throw refusedRedirect(access, 'and without TLS');
  to.username = '';
  to.password = '';
  return to;
};

/**
 * @param path below `/v1/`, encoded
 * @throws CredentialError where there is no answer; the signal's reason
 */
export const askVault = async (
  access: VaultAccess,
  { path, method = 'GET' }: { readonly path: string; readonly method?: 'GET' | 'PUT' },
  signal: AbortSignal,
): Promise<VaultAnswer> => {
  const first = new URL(`${access.address.replace(/\/+$/, '')}/v1/${path}`);
  const headers = {
    accept: 'application/json',
    'x-vault-token': access.token,
    // Vault's own clients say so: an agent or a proxy in between answers nobody else.
    'x-vault-request': 'true',
    ...(access.namespace !== null && { 'x-vault-namespace': access.namespace }),
  };
  const allows = allowsFrom(first);
  let url = first;
  for (let turn = 0; turn <= maxRedirects; turn++) {
    const answer = await ask({ url, method, headers, ca: access.ca, maxBytes, allows }, signal);
    if (answer.kind === 'failed') throw failed(access, answer);
    if (!redirects.has(answer.status)) return answer;
    url = followed(access, url, answer);
  }
  throw refusedRedirect(access, 'and elsewhere again');
};
