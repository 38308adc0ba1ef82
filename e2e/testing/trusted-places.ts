// Places that stand for everything a trusted configuration leads to: caches of every kind, and where secrets come from.
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNix } from '@eka-ci/nix/installation';
import { runChild } from '@eka-ci/process';
import {
  createSecondMachine,
  type SecondMachine,
  whyNoSecondMachine,
} from '@eka-ci/server/builder/remote/testing/second-machine';
import {
  createSshServer,
  type SshServer,
  whyNoSshServer,
} from '@eka-ci/server/builder/remote/testing/ssh-server';
import { type Nginx, startNginx, whyNoNginx } from '@eka-ci/server/cache/testing/nginx';
import { type S3Server, startS3Server } from '@eka-ci/server/cache/testing/s3-server';
import type { ScriptedCache } from '@eka-ci/server/cache/testing/scripted-cache';
import type { StandIn } from '@eka-ci/server/cache/testing/stand-in';
import { type Ec2State, startEc2Double } from '@eka-ci/server/credentials/testing/metadata-double';
import { startAwsDouble } from '@eka-ci/server/credentials/testing/secrets-manager-double';
import { startVaultDouble } from '@eka-ci/server/credentials/testing/vault-double';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import type { World } from './ekaci.ts';
import type { Building, Ending, Held, PlacedCache } from './trusted-place.ts';
import { placeHosted, type SeenProcess } from './trusted-programs.ts';
import { type MadeSecrets, makeSecrets } from './trusted-secrets.ts';

export interface Places {
  /** Holds what is secret; no server writes into it. */
  readonly folder: string;
  readonly secrets: MadeSecrets;
  /** Of the server. */
  readonly env: Readonly<Record<string, string>>;
  readonly caches: readonly PlacedCache[];
  readonly cachix: StandIn;
  readonly attic: StandIn;
  /** Where both are asked. */
  readonly hosted: ScriptedCache;
  readonly machine: SecondMachine | null;
  /** Of app and hook. */
  readonly app: { readonly id: string; readonly keyFile: string };
  /** What services of secrets were asked, and what they hold. */
  told(): string;
  seen(): Promise<readonly SeenProcess[]>;
  /** Lets `attic` come to its end, now and later. */
  letAtticGo(): Promise<void>;
  remove(): Promise<void>;
}

/** What is not installed here, in words. */
export const whatIsMissing = async (): Promise<{
  readonly http: string | null;
  readonly ssh: string | null;
}> => ({
  http: whyNoNginx(),
  ssh: (await whyNoSshServer()) ?? (await whyNoSecondMachine()),
});

/** What goes away meanwhile is passed over: whoever writes renames at the end. */
const readHeld = async (folder: string): Promise<Held> => {
  const held = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    const bytes = entry.isFile() ? await readFile(file).catch(() => null) : null;
    if (bytes !== null) held.set(file.slice(folder.length + 1), bytes);
  }
  return held;
};

const region = 'eu-central-1';

const bucketUrl = (bucket: string, { endpoint }: S3Server): string =>
  `s3://${bucket}?endpoint=${endpoint}&scheme=http&region=${region}`;

const objectsOf = (s3: S3Server) => async (): Promise<Held> => s3.objects;

const writeSecret = async (file: string, text: string): Promise<string> => {
  await writeFile(file, text, { mode: 0o600 });
  return file;
};

/** A name in TOML's own quotes. */
const quote = (text: string): string => JSON.stringify(text);

/** Folders: told nothing, a key of a file, a key of AWS Secrets Manager. */
const placeFolders = async ({ folder, secrets, endings }: Building) => {
  const asking = { id: 'AKIACANARYASKING', secret: secrets.word('AWS key that asks for secrets') };
  const managed = await secrets.signingKey('managed-1');
  const filed = await secrets.signingKey('filed-1');
  const aws = await startAwsDouble();
  endings.push(() => aws.close());
  aws.state.keys.set(asking.id, asking.secret);
  aws.state.secrets.set('eka-ci/managed', JSON.stringify({ NIX_SIGNING_KEY: managed.secret }));
  const file = await writeSecret(join(folder, 'filed.env'), `NIX_SIGNING_KEY=${filed.secret}\n`);
  const cacheOf = async (id: string, credentials: string, signedBy: string | null): Promise<PlacedCache> => {
    const place = join(folder, 'caches', id);
    await mkdir(place, { recursive: true });
    return {
      ...{ id, type: 'nix-copy', destination: `file://${place}`, credentials, signedBy },
      held: () => readHeld(place),
    };
  };
  return {
    caches: [
      await cacheOf('plain', '"none"', null),
      await cacheOf('filed', `{ file = { path = ${quote(file)} } }`, filed.name),
      await cacheOf(
        'managed',
        '{ aws-secrets-manager = { secret_name = "eka-ci/managed", region = "eu-west-1" } }',
        managed.name,
      ),
    ],
    env: {
      AWS_ENDPOINT_URL_SECRETS_MANAGER: aws.url,
      ...{ AWS_ACCESS_KEY_ID: asking.id, AWS_SECRET_ACCESS_KEY: asking.secret },
    },
    told: () => JSON.stringify([...aws.state.secrets.values(), [...aws.state.keys]]),
  };
};

/** Buckets: keys of a profile, and those that the machine is given. */
const placeBuckets = async ({ folder, secrets, endings }: Building) => {
  const profile = {
    accessKeyId: 'AKIACANARYPROFILE',
    secretAccessKey: secrets.word('AWS key of the profile'),
  };
  const role = {
    ...{ id: 'ASIACANARYROLE', secret: secrets.word('AWS key of the machine') },
    ...{ token: secrets.word('AWS session of the machine'), endsAtMs: Date.now() + 6 * 60 * 60_000 },
  };
  const state: Ec2State = { role, isOff: false };
  const metadata = await startEc2Double(state);
  endings.push(() => metadata.close());
  const [first, second] = await Promise.all([
    startS3Server({ bucket: 'profiled', region, account: profile }),
    startS3Server({
      ...{ bucket: 'instance', region },
      account: { accessKeyId: role.id, secretAccessKey: role.secret, sessionToken: role.token },
    }),
  ]);
  endings.push(first.stop, second.stop);
  const keys = `[ci]\naws_access_key_id = ${profile.accessKeyId}\naws_secret_access_key = ${profile.secretAccessKey}\n`;
  const caches: PlacedCache[] = [
    {
      ...{ id: 'profiled', type: 'nix-copy', destination: bucketUrl('profiled', first) },
      ...{ credentials: '{ aws-profile = { profile = "ci" } }', signedBy: null, held: objectsOf(first) },
    },
    {
      ...{ id: 'instance', type: 'nix-copy', destination: bucketUrl('instance', second) },
      ...{ credentials: '"instance-metadata"', signedBy: null, held: objectsOf(second) },
    },
  ];
  return {
    caches,
    env: {
      AWS_SHARED_CREDENTIALS_FILE: await writeSecret(join(folder, 'aws-keys'), keys),
      AWS_CONFIG_FILE: join(folder, 'aws-config'),
      AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url,
    },
    told: () => JSON.stringify(state),
  };
};

/** A web server that takes uploads: what Vault has. */
const placeWeb = async ({ folder, secrets, endings }: Building) => {
  const login = { user: 'ci', password: secrets.word('password of the web server') };
  secrets.known(
    'login of the web server, in base64',
    Buffer.from(`${login.user}:${login.password}`).toString('base64'),
  );
  const token = secrets.word('token of Vault');
  const key = await secrets.signingKey('vault-1');
  const vault = await startVaultDouble();
  endings.push(() => vault.close());
  const path = 'secret/data/ci/web';
  const values = {
    ...{ HTTP_USERNAME: login.user, HTTP_PASSWORD: login.password },
    NIX_SIGNING_KEY: key.secret,
  };
  vault.state.tokens.set(token, {
    ...{ renewable: false, creationTtlSeconds: 0, endsAtMs: 0, knowsItself: true, reads: [path] },
  });
  vault.state.kv2.set(`/${path}`, { versions: [values], deleted: false });
  const nginx: Nginx = await startNginx(join(folder, 'nginx'), { login });
  endings.push(nginx.stop);
  const cache: PlacedCache = {
    ...{ id: 'web', type: 'nix-copy', destination: nginx.url, signedBy: key.name },
    credentials: `{ vault = { address = ${quote(vault.url)}, secret_path = ${quote(path)} } }`,
    held: () => readHeld(nginx.root),
  };
  return {
    caches: [cache],
    env: { VAULT_TOKEN: token },
    told: () => JSON.stringify([vault.asked, values]),
  };
};

/** Another machine: what systemd hands over. */
const placeMachine = async ({ world, folder, secrets, endings }: Building) => {
  const nix = await findNix(world.env);
  const machine = await createSecondMachine({ nix, folder });
  const ssh: SshServer = await createSshServer(join(folder, 'ssh'), machine);
  endings.push(ssh.stop);
  const key = await secrets.signingKey('systemd-1');
  const identity = await readFile(ssh.identityFile, 'utf8');
  // What it begins with is the same in every key.
  secrets.known('key of ssh', identity.split('\n').slice(3).join('\n'));
  const values = {
    ...{ SSH_PRIVATE_KEY: identity, NIX_SIGNING_KEY: key.secret },
    SSH_KNOWN_HOSTS: `[127.0.0.1]:${ssh.port} ${Buffer.from(ssh.hostKey, 'base64').toString().trim()}`,
  };
  const directory = join(folder, 'systemd');
  await mkdir(directory, { mode: 0o700 });
  await writeSecret(join(directory, 'machine'), JSON.stringify(values));
  const cache: PlacedCache = {
    ...{ id: 'machine', type: 'nix-copy', signedBy: key.name, held: null },
    destination: `ssh-ng://${ssh.user}@127.0.0.1:${ssh.port}`,
    credentials: '{ systemd-credential = { name = "machine" } }',
  };
  return { caches: [cache], env: { CREDENTIALS_DIRECTORY: directory }, machine };
};

const placeAll = async (building: Building, gate: string) => {
  const missing = await whatIsMissing();
  const [folders, buckets] = [await placeFolders(building), await placeBuckets(building)];
  const web = missing.http === null ? await placeWeb(building) : null;
  const other = missing.ssh === null ? await placeMachine(building) : null;
  const hosted = await placeHosted(building, gate);
  const all = [folders, buckets, web, other, hosted].filter((one) => one !== null);
  const keyFile = await writeSecret(join(building.folder, 'app.pem'), building.secrets.appKey());
  const app = { id: '12345', keyFile };
  const { cachix, attic, seen } = hosted;
  return {
    ...{ cachix, attic, seen, app, hosted: hosted.hosted, machine: other?.machine ?? null },
    env: Object.assign({ APP_ID: app.id }, ...all.map(({ env }) => env)) as Record<string, string>,
    caches: all.flatMap(({ caches }) => caches),
    told: () => [folders.told(), buckets.told(), web?.told() ?? ''].join('\n'),
  };
};

/** What is missing here is left out. */
export const createPlaces = async (world: World): Promise<Places> => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-trusted-'));
  const endings: Ending[] = [() => removeTree(folder)];
  const remove = async (): Promise<void> => {
    for (const end of endings.splice(0).toReversed()) await end();
  };
  const secrets = makeSecrets(world, folder);
  const gate = join(folder, 'gate');
  try {
    const placed = await placeAll({ world, folder, secrets, endings }, gate);
    return { ...placed, folder, secrets, remove, letAtticGo: () => writeFile(gate, '') };
  } catch (error) {
    await remove();
    throw error;
  }
};

/** Of a path in the store of another machine. */
export const signaturesThere = async (
  { command }: SecondMachine,
  { nix, path }: { readonly nix: string; readonly path: string },
): Promise<string> => {
  const words = ['--extra-experimental-features', 'nix-command', 'path-info', '--sigs', path];
  return (await runChild(command([nix, ...words]))).stdout;
};
