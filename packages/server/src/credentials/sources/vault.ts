// `{ vault = { address, secret_path, token_env, namespace? } }`: a secret of Vault's KV engine, version 1 or 2.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
import { Secret } from '../../config/secret.ts';
import { type AnswerTable, asTable, countAt, readTable, textAt } from '../answer-text.ts';
import { CredentialError, type CredentialErrorCode } from '../credential-error.ts';
import { parseCredentialObject } from '../credential-text.ts';
import { answerOf, type LoadSource, readVariable, type SourceHost } from '../source.ts';
import { readCredentialFile } from './credential-file.ts';
import { askVault, type VaultAccess, type VaultAnswer } from './vault-http.ts';
import { keepVaultToken } from './vault-token.ts';

type VaultSource = Parameters<LoadSource<'vault'>>[0];

const settingFault = (message: string): CredentialError =>
  new CredentialError('CREDENTIAL_SETTING_INVALID', message);

/** @throws CredentialError where it would lead out of the place that it names */
const encodePath = (path: string): string => {
  const parts = path.replace(/^\/+|\/+$/g, '').split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw settingFault(
      `secret_path = ${JSON.stringify(path)} is no path of a secret: write it as secret/data/ci`,
    );
  }
  return parts.map(encodeURIComponent).join('/');
};

/** What a header can carry. */
const isHeaderText = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

const openAccess = async (source: VaultSource, host: SourceHost): Promise<VaultAccess> => {
  const token = readVariable(host, source.token_env).trim();
  if (!isHeaderText(token)) throw settingFault(`the variable ${source.token_env} holds no Vault token`);
  const { namespace = null } = source;
  if (namespace !== null && !isHeaderText(namespace))
    throw settingFault('namespace is no name of a Vault namespace');
  // Vault's own variable, for a server whose certificate nobody else knows.
  const caFile = host.env['VAULT_CACERT'] ?? '';
  const ca = caFile === '' ? null : (await readCredentialFile(host, caFile)).text;
  return { address: source.address, token, tokenVariable: source.token_env, namespace, ca };
};

const errorsOf = (body: AnswerTable | null): string => JSON.stringify(body?.['errors'] ?? '').toLowerCase();

type Fault = readonly [code: CredentialErrorCode, afterName: string];

const notFound = (place: string, body: AnswerTable | null): Fault => {
  const isDeleted = asTable(asTable(body?.['data'])?.['metadata']) !== null;
  const why = isDeleted
    ? `had a secret at ${place}, and its newest version was deleted: write a new one`
    : `has no secret at ${place}: is it the whole path? That of KV version 2 has data/ after the mount, as in secret/data/ci`;
  return ['CREDENTIAL_NOT_FOUND', why];
};

const faultOf = (source: VaultSource, { status, text }: VaultAnswer): Fault => {
  const { secret_path: path, token_env: variable, namespace } = source;
  const place = namespace === undefined ? path : `${path} in the namespace ${namespace}`;
  const body = readTable(text);
  switch (status) {
    case 403:
      return [
        'CREDENTIAL_FORBIDDEN',
        `does not let the token of ${variable} read ${place}: has it ended, and does its policy allow "read" on that path?`,
      ];
    case 404:
      return notFound(place, body);
    case 503:
      return errorsOf(body).includes('sealed')
        ? ['CREDENTIAL_UNAVAILABLE', 'is sealed: unseal it']
        : ['CREDENTIAL_UNAVAILABLE', 'is under maintenance, or sealed (503): it is asked again'];
    case 412:
    case 429:
    case 473:
      return ['CREDENTIAL_UNAVAILABLE', `cannot answer now (${status}): it is asked again`];
    case 400: {
      // As the server of Go says it, before Vault hears of it.
      if (text.includes('HTTP request to an HTTPS server')) {
        return ['CREDENTIAL_TLS', 'speaks TLS alone: write its address with https:// in front'];
      }
      const why = `does not understand the question for ${place}: mend path and namespace`;
      return ['CREDENTIAL_SETTING_INVALID', why];
    }
    default:
      return status >= 500
        ? ['CREDENTIAL_UNAVAILABLE', `fails with ${status}: see its log`]
        : ['CREDENTIAL_ANSWER_INVALID', `answers with ${status}: is it a Vault?`];
  }
};

/** What Vault says itself is not told on: it may quote what it was asked with. */
const refusal = (source: VaultSource, answer: VaultAnswer): CredentialError => {
  const [code, afterName] = faultOf(source, answer);
  return new CredentialError(code, `Vault at ${source.address} ${afterName}`);
};

/** Version 2 wraps what version 1 gives plainly, and tells when it was written. */
const secretIn = (data: AnswerTable): AnswerTable | null => {
  const metadata = asTable(data['metadata']);
  const isWrapped = metadata !== null && textAt(metadata, 'created_time') !== '' && 'data' in data;
  return isWrapped ? asTable(data['data']) : data;
};

const readSecret = (source: VaultSource, answer: VaultAnswer) => {
  if (answer.status !== 200) throw refusal(source, answer);
  const body = readTable(answer.text);
  const data = asTable(body?.['data']);
  const invalid = (reason: string): CredentialError => {
    const message = `what Vault at ${source.address} has at ${source.secret_path} ${reason}: write names with texts there`;
    return new CredentialError('CREDENTIAL_ANSWER_INVALID', message);
  };
  if (body === null || data === null) throw invalid('is no secret of its KV engine');
  const parsed = parseCredentialObject(secretIn(data));
  if (parsed.kind === 'invalid') throw invalid(parsed.reason);
  const leaseSeconds = countAt(body, 'lease_duration') ?? 0;
  return { values: parsed.values, leaseMs: leaseSeconds === 0 ? null : leaseSeconds * 1000 };
};

/** Of the time that there is for a load, what the care for the token may take. */
const tokenCareMs = 3000;

export const loadVault: LoadSource<'vault'> = async (source, host, signal) => {
  const path = encodePath(source.secret_path);
  const access = await openAccess(source, host);
  const { values, leaseMs } = readSecret(source, await askVault(access, { path }, signal));
  const careTime = AbortSignal.timeout(tokenCareMs);
  const care = await keepVaultToken(access, AbortSignal.any([signal, careTime])).catch((error: unknown) => {
    if (!careTime.aborted) throw error;
    return { warnings: [], askAgainMs: null };
  });
  return answerOf(values, { leaseMs, askedWith: [new Secret(access.token)], ...care });
};
