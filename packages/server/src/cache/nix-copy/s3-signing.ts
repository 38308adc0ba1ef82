// Signs requests to S3 (AWS Signature Version 4, as the IAM User Guide lays it down). The body is left out of the signature:
// it is sent while it is made.
import { createHash, createHmac } from 'node:crypto';
import type { Secret } from '../../config/secret.ts';
import type { Authorize } from '../web-client.ts';

export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

export interface S3Signing {
  readonly keys: S3Keys;
  readonly region: string;
  readonly clock: () => number;
}

const unsignedPayload = 'UNSIGNED-PAYLOAD';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** As RFC 3986 has it, and S3 wants it: encodeURIComponent leaves out five more. */
export const encodeForS3 = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** Of a URL whose path is encoded as `encodeForS3` does, segment by segment, and has no query. */
export const createS3Authorize =
  ({ keys, region, clock }: S3Signing): Authorize =>
  ({ method, url }) => {
    const stamp = new Date(clock()).toISOString().replace(/[-:]|\.\d+/g, '');
    const day = stamp.slice(0, 8);
    const headers: Record<string, string> = {
      host: url.host,
      'x-amz-content-sha256': unsignedPayload,
      'x-amz-date': stamp,
      ...(keys.sessionToken !== null && { 'x-amz-security-token': keys.sessionToken.reveal() }),
    };
    const names = Object.keys(headers).sort();
    const canonical = [
      method,
      url.pathname,
      url.search.slice(1),
      ...names.map((name) => `${name}:${headers[name]}`),
      '',
      names.join(';'),
      unsignedPayload,
    ].join('\n');
    const scope = `${day}/${region}/s3/aws4_request`;
    const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n');
    const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(
      hmac,
      `AWS4${keys.secretAccessKey.reveal()}`,
    );
    const signature = hmac(key, toSign).toString('hex');
    const { host: _, ...sent } = headers;
    return {
      ...sent,
      authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
    };
  };
