// The role of an EC2 machine, by IMDSv2: a session first, then the role's name, then its keys.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
import { absent, askMetadata, isOfGoogle, keysTold, refuses, type Told, tableOf } from './metadata-answer.ts';

const sessionSeconds = 60;
const rolesPath = 'latest/meta-data/iam/security-credentials/';
const isHeaderText = (text: string): boolean => /^[\x21-\x7e]{1,1000}$/.test(text);

/** @param address ends with a slash @throws the signal's reason */
export const askEc2 = async (address: string, signal: AbortSignal): Promise<Told> => {
  const opening = {
    url: `${address}latest/api/token`,
    method: 'PUT',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(sessionSeconds) },
  } as const;
  const opened = await askMetadata(opening, signal);
  // Other clouds answer at the same address.
  if (opened.kind === 'failed' || isOfGoogle(opened)) return absent;
  if (opened.status === 403) {
    return refuses(
      'CREDENTIAL_FORBIDDEN',
      'what answers where EC2 has its metadata service refuses (403): switch the service on for this machine, or use another credential source',
    );
  }
  const session = opened.text.trim();
  if (opened.status !== 200 || !isHeaderText(session)) return absent;
  const headers = { 'x-aws-ec2-metadata-token': session };
  const roles = await askMetadata({ url: `${address}${rolesPath}`, headers }, signal);
  const [role = ''] = roles.kind === 'answered' && roles.status === 200 ? roles.text.trim().split(/\s+/) : [];
  if (role === '') {
    return refuses('CREDENTIAL_NOT_FOUND', 'this EC2 machine has no role: attach an instance profile to it');
  }
  const url = `${address}${rolesPath}${encodeURIComponent(role)}`;
  return keysTold(tableOf(await askMetadata({ url, headers }, signal)), 'EC2');
};
