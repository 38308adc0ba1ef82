// The role of a container: ECS tells where by a variable, and so does EKS for its pods.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
import { classifyAddress } from '../../../lib/address-class.ts';
import { CredentialError } from '../../credential-error.ts';
import type { SourceHost } from '../../source.ts';
import { readCredentialFile } from '../credential-file.ts';
import { askMetadata, keysTold, refuses, type Told, tableOf } from './metadata-answer.ts';

const invalid = (variable: string, why: string): CredentialError =>
  new CredentialError(
    'CREDENTIAL_SETTING_INVALID',
    `the variable ${variable} ${why}: leave it to ECS or EKS`,
  );

/** Plainly only on this machine or at the addresses of ECS and EKS. */
const agents: ReadonlySet<string> = new Set(['169.254.170.2', '169.254.170.23', 'fd00:ec2::23']);

const isAgent = (url: URL): boolean => {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || agents.has(host) || classifyAddress(host) === 'loopback';
};

/** Null where this is no such container. @throws CredentialError */
export const findEcs = ({ env }: Pick<SourceHost, 'env'>, address: string): URL | null => {
  const relative = env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] ?? '';
  const whole = env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] ?? '';
  if (relative !== '') {
    const base = new URL(address);
    const url = URL.parse(relative, base.href);
    if (!relative.startsWith('/') || url?.origin !== base.origin) {
      throw invalid('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'is no path');
    }
    return url;
  }
  if (whole === '') return null;
  const url = URL.parse(whole);
  const isAllowed = url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isAgent(url)));
  if (!isAllowed) throw invalid('AWS_CONTAINER_CREDENTIALS_FULL_URI', 'leads to no place of ECS or EKS');
  return url;
};

const readToken = async (host: SourceHost): Promise<string> => {
  const path = host.env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] ?? '';
  const token = (
    path === ''
      ? (host.env['AWS_CONTAINER_AUTHORIZATION_TOKEN'] ?? '')
      : (await readCredentialFile(host, path)).text
  ).trim();
  if (!/^[\x20-\x7e]*$/.test(token)) throw invalid('AWS_CONTAINER_AUTHORIZATION_TOKEN', 'holds no token');
  return token;
};

/** @throws CredentialError, the signal's reason */
export const askEcs = async (url: URL, host: SourceHost, signal: AbortSignal): Promise<Told> => {
  const token = await readToken(host);
  const headers = token === '' ? {} : { authorization: token };
  const isAnywhere = url.protocol === 'https:';
  const answer = await askMetadata({ url: url.href, headers, isAnywhere }, signal);
  if (answer.kind === 'failed') {
    return refuses(
      'CREDENTIAL_UNREACHABLE',
      `the credentials of this container were not reached (${answer.code || answer.why}): has its task a role?`,
    );
  }
  if (answer.status !== 200) {
    return refuses(
      'CREDENTIAL_FORBIDDEN',
      `the credentials of this container are refused (${answer.status}): has its task a role?`,
    );
  }
  return keysTold(tableOf(answer), 'ECS');
};
