// Secrets of every shape that caches and hooks are told, each of a text that nothing else has, and how each would look.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import type { World } from './ekaci.ts';
import type { Canary } from './secret-search.ts';

export interface SigningKey {
  /** As `NIX_SIGNING_KEY` has it. */
  readonly secret: string;
  /** Of its signatures. */
  readonly name: string;
}

export interface MadeSecrets {
  readonly canaries: readonly Canary[];
  /** A text of one line. */
  word(name: string): string;
  /** Also one that the test did not make up itself. */
  known(name: string, secret: string): string;
  /** Of this name and no other. */
  signingKey(name: string): Promise<SigningKey>;
  /** Of an app, in PEM. */
  appKey(): string;
}

/** A log is told by lines: each that is long enough to be of use is looked for. */
const tellingLines = (secret: string): string[] =>
  secret.split('\n').filter((line) => line.length >= 16 && !line.startsWith('-----'));

/** @param folder for keys on their way */
export const makeSecrets = ({ env }: World, folder: string): MadeSecrets => {
  const canaries: Canary[] = [];
  const known = (name: string, secret: string): string => {
    canaries.push(...tellingLines(secret).map((pattern) => ({ name, pattern })));
    return secret;
  };
  return {
    canaries,
    known,
    word: (name) => known(name, `canary-${randomBytes(18).toString('hex')}`),
    async signingKey(name) {
      const [secretFile, openFile] = [join(folder, `${name}.secret`), join(folder, `${name}.open`)];
      const args = ['--generate-binary-cache-key', name, secretFile, openFile];
      const made = await runChild({ command: 'nix-store', args, env });
      if (made.code !== 0) throw new Error(made.stderr);
      const secret = (await readFile(secretFile, 'utf8')).trim();
      // Cachix is told it without its name.
      known(`signing key ${name}`, secret.slice(name.length + 1));
      return { secret, name };
    },
    appKey: () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      return known('key of the app', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    },
  };
};
