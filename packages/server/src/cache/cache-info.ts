// What a cache says of itself over HTTP: its nix-cache-info, the little file that Nix itself asks for first.
import { CacheError } from './cache.ts';
import { refused } from './push-fault.ts';
import { faultOfAnswer, readBody } from './web-client.ts';
import type { WebSession } from './web-session.ts';

const maxBytes = 65_536;

/** `hidden`: a bucket that may not be listed answers so of what is not there. */
export type CacheInfo = 'there' | 'absent' | 'hidden';

/** @throws CacheError where it does not answer, or is of another store: paths of that are of no use to anybody */
export const askCacheInfo = async (
  { client, base, storeDir }: WebSession,
  signal: AbortSignal,
): Promise<CacheInfo> => {
  const answer = await client.send({ method: 'GET', url: `${base}nix-cache-info` }, signal);
  if (answer.status === 200) {
    const dir = /^StoreDir: *(?<dir>\S+)/m.exec(await readBody(answer.body, maxBytes))?.groups?.['dir'];
    if (dir === undefined || dir === storeDir) return 'there';
    throw new CacheError(
      refused(
        'destination',
        `its nix-cache-info is of another store (${dir}) than that of this server (${storeDir})`,
      ),
    );
  }
  const { fault, s3Code } = await faultOfAnswer(answer, 'GET nix-cache-info');
  const isNew = s3Code !== 'NoSuchBucket' && [403, 404, 410].includes(answer.status);
  if (isNew && (s3Code === '' || s3Code === 'AccessDenied' || s3Code === 'NoSuchKey'))
    return answer.status === 403 ? 'hidden' : 'absent';
  throw new CacheError(fault);
};
