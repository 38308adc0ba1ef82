// The managed identity of a machine of Azure.
// https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
import {
  absent,
  askMetadata,
  isOfGoogle,
  refuses,
  type Told,
  tableOf,
  tokenTold,
} from './metadata-answer.ts';

/** Whom the token is for: Azure's own management. */
const resource = 'https://management.azure.com/';

/** @param address ends with a slash @throws the signal's reason */
export const askAzure = async (address: string, signal: AbortSignal): Promise<Told> => {
  const query = new URLSearchParams({ 'api-version': '2018-02-01', resource });
  const url = `${address}metadata/identity/oauth2/token?${query.toString()}`;
  const answer = await askMetadata({ url, headers: { metadata: 'true' } }, signal);
  if (answer.kind === 'failed' || isOfGoogle(answer)) return absent;
  if (answer.status === 400) {
    return refuses('CREDENTIAL_NOT_FOUND', 'this machine of Azure has no managed identity: give it one');
  }
  if (answer.status === 429 || answer.status >= 500) {
    return refuses(
      'CREDENTIAL_UNAVAILABLE',
      `the metadata service of Azure cannot answer now (${answer.status}): it is asked again`,
    );
  }
  if (answer.status !== 200) return absent;
  return tokenTold(tableOf(answer), 'AZURE_ACCESS_TOKEN', 'Azure');
};
