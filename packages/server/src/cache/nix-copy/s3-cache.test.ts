import type { StorePath } from '@eka-ci/core/ids';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { describeCache } from '../cache.contract.ts';
import { buildChain, writeChain } from '../testing/built-chain.ts';
import { cacheSurroundings } from '../testing/cache-surroundings.ts';
import { childrenOf } from '../testing/children.ts';
import { startMinio, whyNoMinio } from '../testing/minio.ts';
import { type S3Account, type S3Server, startS3Server } from '../testing/s3-server.ts';
import { createNixCopyCache } from './nix-copy-cache.ts';
import { s3AddressOf } from './s3-address.ts';
import { createS3Authorize } from './s3-signing.ts';
import { parseStoreUrl, type StoreUrl } from './store-url.ts';

const timeoutMs = 60_000;
const calm = new AbortController().signal;
const ourRegion = 'eu-central-1';
const account: S3Account = { accessKeyId: 'AKIDTEST', secretAccessKey: 'canary/secret+key' };
const asCredentials = (one: S3Account) => ({
  AWS_ACCESS_KEY_ID: one.accessKeyId,
  AWS_SECRET_ACCESS_KEY: one.secretAccessKey,
  ...(one.sessionToken !== undefined && { AWS_SESSION_TOKEN: one.sessionToken }),
});
const urlOf = ({ endpoint }: Pick<S3Server, 'endpoint'>, bucket = 'our.bucket', region = ourRegion) =>
  `s3://${bucket}/a%20folder/nix?endpoint=${endpoint}&scheme=http&region=${region}&compression=zstd&multipart-upload=true`;

describeCache('in a bucket', async () => {
  const store = await createPrivateStore();
  const s3 = await startS3Server({ bucket: 'our.bucket', region: ourRegion, account });
  const { deps } = cacheSurroundings(store.nix, asCredentials(account));
  return {
    cache: createNixCopyCache({ id: 's3', destination: urlOf(s3), timeoutMs }, deps),
    makeChain: () => writeChain(store),
    lost: `${store.nix.storeDir}/${'0'.repeat(32)}-lost` as StorePath,
    remove: async () => {
      await s3.stop();
      await store.remove();
    },
  };
});

const noMinio = whyNoMinio();

describe.skipIf(noMinio !== null)(`of another program${noMinio === null ? '' : ` (${noMinio})`}`, () => {
  describeCache('in a bucket of MinIO', async () => {
    const store = await createPrivateStore();
    const minio = await startMinio('our.bucket', account);
    const { deps } = cacheSurroundings(store.nix, asCredentials(account));
    const destination = urlOf(minio, 'our.bucket', 'us-east-1');
    return {
      cache: createNixCopyCache({ id: 's3', destination, timeoutMs }, deps),
      makeChain: () => writeChain(store),
      lost: `${store.nix.storeDir}/${'0'.repeat(32)}-lost` as StorePath,
      remove: async () => {
        await minio.stop();
        await store.remove();
      },
    };
  });
});

describe('a bucket', () => {
  let store: PrivateStore;
  let s3: S3Server;
  beforeAll(async () => {
    store = await createPrivateStore();
    s3 = await startS3Server({ bucket: 'our.bucket', region: ourRegion, account });
  });
  afterAll(async () => {
    await s3.stop();
    await store.remove();
  });

  it('is asked with keys that were rotated while a push waited', async () => {
    const { root } = await buildChain(store);
    const next = { accessKeyId: 'AKIDNEXT', secretAccessKey: 'next', sessionToken: 'for/an+hour==' };
    const { deps, set, forgotten } = cacheSurroundings(store.nix, asCredentials(account));
    s3.rotate(next);
    set(asCredentials(next));
    const cache = createNixCopyCache({ id: 's3', destination: urlOf(s3), timeoutMs }, deps);
    const outcome = await cache.push({ paths: [root] }, calm);
    expect(outcome).toMatchObject({
      kind: 'refused',
      code: 'unauthorized',
      why: expect.stringContaining('InvalidAccessKeyId') as string,
    });
    expect(JSON.stringify(outcome)).not.toContain('canary');
    expect(forgotten()).toBe(1);
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
    s3.rotate(account);
  });

  it.each([
    ['with a wrong secret', { AWS_SECRET_ACCESS_KEY: 'wrong' }, 'unauthorized', 'SignatureDoesNotMatch'],
    ['with half of a key', { AWS_SECRET_ACCESS_KEY: '' }, 'credentials', 'AWS_SECRET_ACCESS_KEY'],
    ['with two lines for a key', { AWS_SECRET_ACCESS_KEY: 'a\nb' }, 'credentials', 'AWS_SECRET_ACCESS_KEY'],
    ['of another name', {}, 'destination', 'NoSuchBucket'],
  ])('%s is not written', async (_, values, code, why) => {
    const { deps } = cacheSurroundings(store.nix, { ...asCredentials(account), ...values });
    const destination = code === 'destination' ? urlOf(s3, 'another') : urlOf(s3);
    const cache = createNixCopyCache({ id: 's3', destination, timeoutMs }, deps);
    const { root } = await buildChain(store);
    const before = s3.objects.size;
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code,
      why: expect.stringContaining(why) as string,
    });
    expect(s3.objects.size).toBe(before);
  });

  it('that is slowed down or full is tried again', async () => {
    const { deps } = cacheSurroundings(store.nix, asCredentials(account));
    const cache = createNixCopyCache({ id: 's3', destination: urlOf(s3), timeoutMs }, deps);
    const { root } = await buildChain(store);
    s3.refuseUploads({ status: 503, code: 'SlowDown' });
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'passing' });
    s3.refuseUploads({ status: 403, code: 'QuotaExceeded' });
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({ kind: 'passing' });
    s3.refuseUploads({ status: 403, code: 'AccessDenied' });
    expect(await cache.push({ paths: [root] }, calm)).toMatchObject({
      kind: 'refused',
      code: 'unauthorized',
    });
    s3.refuseUploads(null);
  });

  it('is written by a Nix that is told none of its keys', async () => {
    const { deps } = cacheSurroundings(store.nix, asCredentials(account));
    const cache = createNixCopyCache({ id: 's3', destination: urlOf(s3), timeoutMs }, deps);
    const { root } = await buildChain(store, 3_000_000);
    const seen: string[] = [];
    const pushing = cache.push({ paths: [root] }, calm);
    const look = setInterval(() => {
      for (const { args, env } of childrenOf(process.pid)) {
        if (args.includes('copy')) seen.push(JSON.stringify([args, env]));
      }
    }, 5);
    expect(await pushing).toMatchObject({ kind: 'pushed' });
    clearInterval(look);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.filter((told) => /AKID|canary|AWS_/.test(told))).toEqual([]);
    expect([...s3.objects.keys()].every((key) => key.startsWith('a folder/nix/'))).toBe(true);
  });
});

/** It parsed, or the test is wrong. */
const parsed = (text: string): StoreUrl => {
  const url = parseStoreUrl(text);
  if (url === null) throw new Error(text);
  return url;
};

it.each([
  ['s3://b', 'https://b.s3.us-east-1.amazonaws.com/', 'us-east-1'],
  ['s3://b?region=eu-west-1', 'https://b.s3.eu-west-1.amazonaws.com/', 'eu-west-1'],
  ['s3://b?region=cn-north-1', 'https://b.s3.cn-north-1.amazonaws.com.cn/', 'cn-north-1'],
  ['s3://b/x/y?region=eu-west-1', 'https://b.s3.eu-west-1.amazonaws.com/x/y/', 'eu-west-1'],
  ['s3://b.c', 'https://s3.us-east-1.amazonaws.com/b.c/', 'us-east-1'],
  ['s3://b?endpoint=minio.example:9000', 'https://minio.example:9000/b/', 'us-east-1'],
  ['s3://b/c?endpoint=http%3A%2F%2Fminio.example', 'http://minio.example/b/c/', 'us-east-1'],
  ['s3://b?endpoint=minio.example&scheme=http&region=home', 'http://minio.example/b/', 'home'],
])('%s is at %s', (text, base, where) => {
  expect(s3AddressOf(parsed(text))).toEqual({ base, region: where });
});

it('signs as AWS lays it down', () => {
  // The signature was made with openssl, from the steps of the IAM User Guide.
  const authorize = createS3Authorize({
    keys: {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
      sessionToken: null,
    },
    region: 'us-east-1',
    clock: () => Date.UTC(2015, 7, 30, 12, 36, 0),
  });
  const headers = authorize({
    method: 'GET',
    url: new URL('https://b.s3.us-east-1.amazonaws.com/nix-cache-info'),
  });
  expect(headers['x-amz-date']).toBe('20150830T123600Z');
  expect(headers['authorization']).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request, ' +
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date, ' +
      'Signature=7fead773fa09a7fe6aa5d7b5466a710e88a2505ca531078551f68474da4a48b7',
  );
});
