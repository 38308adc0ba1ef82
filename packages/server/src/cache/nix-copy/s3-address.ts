// Where a bucket is on the web, told by an s3 URL with the settings that Nix knows: region, endpoint and scheme.
import { encodeForS3 } from './s3-signing.ts';
import { decodePart, type StoreUrl, settingOf } from './store-url.ts';

export interface S3Address {
  /** Of the bucket, or of the folder in it that is the cache; with a slash at its end. */
  readonly base: string;
  readonly region: string;
}

/** Nix's own default. */
const defaultRegion = 'us-east-1';

/** By themselves they mean nothing to a store that is reached over HTTP. */
export const s3Settings = [
  'region',
  'endpoint',
  'scheme',
  'profile',
  'addressing-style',
  'multipart-upload',
  'multipart-threshold',
  'multipart-chunk-size',
  'buffer-size',
  'ls-compression',
  'narinfo-compression',
  'log-compression',
  'storage-class',
  'use-transfer-acceleration',
] as const;

export const s3AddressOf = (url: StoreUrl): S3Address => {
  const region = settingOf(url, 'region') ?? defaultRegion;
  const endpoint = settingOf(url, 'endpoint') ?? '';
  const [bucket = '', ...folders] = url.place
    .split('/')
    .filter((part) => part !== '')
    .map(decodePart);
  const path = (parts: readonly string[]) => parts.map((part) => `${encodeForS3(part)}/`).join('');
  if (endpoint !== '') {
    const whole = /^https?:\/\//.test(endpoint)
      ? endpoint
      : `${settingOf(url, 'scheme') ?? 'https'}://${endpoint}`;
    return { base: `${whole.replace(/\/+$/, '')}/${path([bucket, ...folders])}`, region };
  }
  const host = `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
  // The certificate of S3 names one label before its host.
  return bucket.includes('.')
    ? { base: `https://${host}/${path([bucket, ...folders])}`, region }
    : { base: `https://${bucket}.${host}/${path(folders)}`, region };
};
