// From a line of ekaci.toml to bytes in a cache: what the story of a trusted configuration leaves out, for one server has one
// such machine, profile and place at most. Real Nix, a bucket that looks at every signature, doubles of what gives keys.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSecondMachine, whyNoSecondMachine } from './builder/remote/testing/second-machine.ts';
import { createSshServer, whyNoSshServer } from './builder/remote/testing/ssh-server.ts';
import { type BuiltChain, buildChain, runStore } from './cache/testing/built-chain.ts';
import { type S3Account, startS3Server } from './cache/testing/s3-server.ts';
import { createDestinationGuard } from './config/destination-guard.ts';
import { loadValid } from './config/testing/config-sources.ts';
import { createCredentials } from './credentials/credentials.ts';
import { type AwsScene, keyId, secretKey, startAwsScene } from './credentials/testing/aws-scene.ts';
import { startHttpDouble } from './credentials/testing/http-double.ts';
import { testHost } from './credentials/testing/load.ts';
import { type AwsRoleKeys, startEc2Double, startEcsDouble } from './credentials/testing/metadata-double.ts';
import { startVaultDouble } from './credentials/testing/vault-double.ts';
import { openCache } from './open-cache.ts';

const region = 'eu-central-1';
const role = 'arn:aws:iam::123456789012:role/ci';
const calm = new AbortController().signal;

let store: PrivateStore;
let scene: AwsScene;
let endings: (() => Promise<unknown>)[];
beforeAll(async () => {
  store = await createPrivateStore();
});
afterAll(() => store.remove());
beforeEach(async () => {
  endings = [];
  scene = await startAwsScene();
  scene.stub({});
});
afterEach(async () => {
  for (const end of endings.toReversed()) await end();
  await scene.close();
});

const opened = async <Double extends { close(): Promise<void> }>(starting: Promise<Double>) => {
  const double = await starting;
  endings.push(() => double.close());
  return double;
};

/** Keys that nobody else has. */
const newKeys = (): AwsRoleKeys => ({
  ...{ id: `ASIA${randomBytes(6).toString('hex').toUpperCase()}`, secret: randomBytes(12).toString('hex') },
  ...{ token: randomBytes(12).toString('base64'), endsAtMs: Date.now() + 3600_000 },
});

/** What the server is told, and has to find: `keys`. */
interface Machine {
  /** As ekaci.toml has it. */
  readonly credentials: string;
  readonly keys: Pick<AwsRoleKeys, 'id' | 'secret'> & { readonly token?: string };
  /** @default those of this process, as the scene has them */
  readonly env?: Readonly<Record<string, string>>;
}

const pushWith = async (toml: string, env: Machine['env']): Promise<BuiltChain> => {
  const { config } = await loadValid({ toml });
  const [entry] = config.caches;
  if (entry === undefined) throw new Error('no cache');
  const guard = createDestinationGuard({ allowPrivate: config.security.allow_private_cache_hosts });
  const credentials = createCredentials(testHost({}, { env: env ?? process.env }));
  const chain = await buildChain(store);
  const cache = openCache(entry, {
    nix: store.nix,
    queries: (asking) => createStoreQueries(store.nix, asking),
    credentials,
    guard,
  });
  expect(await cache.push({ paths: [chain.root] }, calm)).toMatchObject({ kind: 'pushed', sentPaths: 3 });
  return chain;
};

const tomlOf = (destination: string, credentials: string): string =>
  [
    'security.allow_private_cache_hosts = true',
    '[[caches]]',
    'id = "c"',
    'cache_type = "nix-copy"',
    `destination = ${JSON.stringify(destination)}`,
    `credentials = ${credentials}`,
  ].join('\n');

const writeProfiles = async (config: string, env: Readonly<Record<string, string>> = {}): Promise<void> => {
  const files = {
    AWS_SHARED_CREDENTIALS_FILE: join(scene.folder, 'keys'),
    AWS_CONFIG_FILE: join(scene.folder, 'config'),
  };
  scene.stub({ ...files, AWS_REGION: 'eu-west-1', ...env });
  const base = `[base]\naws_access_key_id = ${keyId}\naws_secret_access_key = ${secretKey}\n`;
  await writeFile(files.AWS_SHARED_CREDENTIALS_FILE, base, { mode: 0o600 });
  await writeFile(files.AWS_CONFIG_FILE, config, { mode: 0o600 });
};

const profile = '{ aws-profile = { profile = "ci" } }';

/** By what gives them. */
const machines: Readonly<Record<string, () => Promise<Machine>>> = {
  async 'a machine of EC2'() {
    const keys = newKeys();
    const { url } = await opened(startEc2Double({ role: keys, isOff: false }));
    return { credentials: '"instance-metadata"', keys, env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: url } };
  },
  async 'a container of ECS or EKS'() {
    const keys = newKeys();
    const { url } = await opened(startEcsDouble(keys, 'token-of-the-pod'));
    const file = join(scene.folder, 'pod-token');
    await writeFile(file, 'token-of-the-pod\n', { mode: 0o600 });
    const whole = `${url}v2/credentials/task-1`;
    const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: whole, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file };
    return { credentials: '"instance-metadata"', keys, env };
  },
  async 'a profile with a role'() {
    const keys = newKeys();
    scene.aws.state.roles.set(role, keys);
    const config = `[profile ci]\nrole_arn = ${role}\nsource_profile = base\n`;
    await writeProfiles(config, { AWS_ENDPOINT_URL_STS: scene.aws.url });
    return { credentials: profile, keys };
  },
  async 'a profile with single sign-on'() {
    const [keys, start] = [newKeys(), 'https://sso.example/start'];
    const portal = await opened(
      startHttpDouble(({ target, headers }) => {
        const url = new URL(target, 'http://h');
        const asked = [url.pathname, url.searchParams.get('role_name'), url.searchParams.get('account_id')];
        const isKnown = headers['x-amz-sso_bearer_token'] === 'token-of-a-session';
        if (!isKnown || asked.join() !== '/federation/credentials,ci,123456789012') return { status: 401 };
        const { id, secret, token, endsAtMs } = keys;
        const given = { accessKeyId: id, secretAccessKey: secret, sessionToken: token, expiration: endsAtMs };
        return { status: 200, body: { roleCredentials: given } };
      }),
    );
    await writeProfiles(
      `[profile ci]\nsso_start_url = ${start}\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = ci\n`,
      { AWS_ENDPOINT_URL_SSO: portal.url },
    );
    const cached = join(scene.folder, '.aws', 'sso', 'cache');
    await mkdir(cached, { recursive: true });
    const session = {
      ...{ startUrl: start, region: 'eu-west-1', accessToken: 'token-of-a-session' },
      expiresAt: new Date(Date.now() + 3600_000).toISOString(),
    };
    const name = `${createHash('sha1').update(start).digest('hex')}.json`;
    await writeFile(join(cached, name), JSON.stringify(session), { mode: 0o600 });
    return { credentials: profile, keys };
  },
  async 'a profile with a program'() {
    const { id, secret } = newKeys();
    const printed = join(scene.folder, 'printed.json');
    await writeFile(printed, JSON.stringify({ Version: 1, AccessKeyId: id, SecretAccessKey: secret }));
    await writeProfiles(`[profile ci]\ncredential_process = /bin/cat ${printed}\n`);
    return { credentials: profile, keys: { id, secret } };
  },
  async 'AWS Secrets Manager'() {
    const { id, secret } = newKeys();
    scene.aws.state.secrets.set(
      'ci/s3',
      JSON.stringify({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret }),
    );
    scene.stub({
      ...{ AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey, AWS_REGION: 'eu-west-1' },
      AWS_ENDPOINT_URL_SECRETS_MANAGER: scene.aws.url,
    });
    return { credentials: '{ aws-secrets-manager = { secret_name = "ci/s3" } }', keys: { id, secret } };
  },
  async "the first version of Vault's engine, in a namespace"() {
    const { id, secret } = newKeys();
    const vault = await opened(startVaultDouble());
    vault.state.tokens.set('token-of-vault', {
      ...{ renewable: false, creationTtlSeconds: 0, endsAtMs: 0, knowsItself: true, reads: ['kv/ci'] },
    });
    vault.state.kv1.set('team/kv/ci', { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret });
    const place = `address = "${vault.url}", secret_path = "kv/ci", namespace = "team", token_env = "TOKEN"`;
    return {
      credentials: `{ vault = { ${place} } }`,
      keys: { id, secret },
      env: { TOKEN: 'token-of-vault' },
    };
  },
  async 'lines of a file'() {
    const { id, secret, token } = newKeys();
    const file = join(scene.folder, 'cache.env');
    const text = `# of the bucket\nAWS_ACCESS_KEY_ID=${id}\nAWS_SECRET_ACCESS_KEY='${secret}'\nAWS_SESSION_TOKEN="${token}"\n`;
    await writeFile(file, text, { mode: 0o600 });
    return { credentials: `{ file = { path = "${file}" } }`, keys: { id, secret, token } };
  },
  async variables() {
    const { id, secret } = newKeys();
    const env = { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret };
    return {
      credentials: `{ env = { vars = ${JSON.stringify(Object.keys(env))} } }`,
      keys: { id, secret },
      env,
    };
  },
};

describe('a bucket of ekaci.toml is written', () => {
  it.each(Object.keys(machines))('with the keys of %s', async (name) => {
    const machine = await machines[name]?.();
    if (machine === undefined) throw new Error(name);
    const { id, secret, token } = machine.keys;
    const account: S3Account = {
      ...{ accessKeyId: id, secretAccessKey: secret },
      ...(token !== undefined && { sessionToken: token }),
    };
    const s3 = await startS3Server({ bucket: 'ours', region, account });
    endings.push(s3.stop);
    const destination = `s3://ours?endpoint=${s3.endpoint}&scheme=http&region=${region}`;
    const { paths } = await pushWith(tomlOf(destination, machine.credentials), machine.env);
    const narinfos = paths.map((path) => `${basename(path).slice(0, 32)}.narinfo`);
    expect([...s3.objects.keys()]).toEqual(expect.arrayContaining(narinfos));
  });
});

it('a folder is signed with the one value that systemd hands over under its name', async () => {
  const [handed, folder] = [join(scene.folder, 'handed'), join(scene.folder, 'cache')];
  await Promise.all([mkdir(handed, { mode: 0o700 }), mkdir(folder)]);
  const file = join(handed, 'NIX_SIGNING_KEY');
  await runStore(store, ['--generate-binary-cache-key', 'handed-1', file, `${file}.pub`]);
  const toml = tomlOf(`file://${folder}`, '{ systemd-credential = { name = "NIX_SIGNING_KEY" } }');
  const { paths } = await pushWith(toml, { CREDENTIALS_DIRECTORY: handed });
  for (const path of paths) {
    const narinfo = await readFile(join(folder, `${basename(path).slice(0, 32)}.narinfo`), 'utf8');
    expect(narinfo).toContain('\nSig: handed-1:');
  }
});

const why = (await whyNoSshServer()) ?? (await whyNoSecondMachine());

it.skipIf(why !== null)(`another machine is written by ssh${why === null ? '' : ` (${why})`}`, async () => {
  const machine = await createSecondMachine(store);
  const ssh = await createSshServer(join(store.folder, 'ssh'), machine);
  endings.push(ssh.stop);
  const values = {
    SSH_PRIVATE_KEY: await readFile(ssh.identityFile, 'utf8'),
    SSH_KNOWN_HOSTS: `[127.0.0.1]:${ssh.port} ${Buffer.from(ssh.hostKey, 'base64').toString().trim()}`,
  };
  const file = join(store.folder, 'ssh.json');
  await writeFile(file, JSON.stringify(values), { mode: 0o600 });
  const credentials = `{ file = { path = ${JSON.stringify(file)} } }`;
  for (const scheme of ['ssh', 'ssh-ng']) {
    const destination = `${scheme}://${ssh.user}@127.0.0.1:${ssh.port}`;
    const { root, paths } = await pushWith(tomlOf(destination, credentials), {});
    const there = await readFile(join(machine.storeDir, basename(root)), 'utf8');
    expect(there.trim()).toBe(paths[1]);
  }
});
