// The service account of a machine of Google's cloud.
// https://cloud.google.com/compute/docs/access/authenticate-workloads
import {
  absent,
  askMetadata,
  isOfGoogle,
  refuses,
  type Told,
  tableOf,
  tokenTold,
} from './metadata-answer.ts';

/** @param address ends with a slash @throws the signal's reason */
export const askGcp = async (address: string, signal: AbortSignal): Promise<Told> => {
  const url = `${address}computeMetadata/v1/instance/service-accounts/default/token`;
  const answer = await askMetadata({ url, headers: { 'metadata-flavor': 'Google' } }, signal);
  if (answer.kind === 'failed' || !isOfGoogle(answer)) return absent;
  if (answer.status === 404) {
    return refuses('CREDENTIAL_NOT_FOUND', 'this machine of GCP has no service account: attach one to it');
  }
  return tokenTold(tableOf(answer), 'GOOGLE_OAUTH_ACCESS_TOKEN', 'GCP');
};
