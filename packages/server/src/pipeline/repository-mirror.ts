// What the mirror of a repository is called in the folder of mirrors.
import { createHash } from 'node:crypto';

/** Of every mirror there is. */
export const mirrorName = /^[0-9a-f]{32}\.git$/;

/** Another one for another URL: the old mirror's branches are none of the new one's. */
export const mirrorNameOf = ({ name, url }: { readonly name: string; readonly url: string }): string => {
  const digest = createHash('sha256')
    .update(JSON.stringify([name, url]))
    .digest('hex');
  return `${digest.slice(0, 32)}.git`;
};
