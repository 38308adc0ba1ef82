// Where the secrets of a cache, a hook or an app come from: exactly one of ten sources, named in ekaci.toml.
import { z } from 'zod';
import { list, path, table, text, variableName, webUrl } from './setting-values.ts';

const sources = {
  env: table({
    vars: list(variableName(), 100)
      .min(1, 'must name at least one variable')
      .describe('Names of environment variables of the server.'),
  }),
  file: table({ path: path().describe('A JSON object, or lines of KEY=VALUE.') }),
  'aws-profile': table({ profile: text(200).describe('A profile of the AWS configuration files.') }),
  'cachix-token': table({ env_var: variableName().describe('The variable that holds the token.') }),
  vault: table({
    address: webUrl().describe('The address of the Vault server.'),
    secret_path: text(1000).describe('The path of the KV secret, such as `secret/data/ci`.'),
    token_env: variableName().default('VAULT_TOKEN').describe('The variable that holds the Vault token.'),
    namespace: text(200).optional().describe('The Vault namespace.'),
  }),
  'aws-secrets-manager': table({
    secret_name: text(512).describe('The name of a secret that is a JSON object.'),
    region: text(100).optional().describe('The AWS region. Without it: `AWS_REGION`.'),
  }),
  'systemd-credential': table({
    name: text(200)
      .refine((name) => !name.includes('/') && !name.includes('..'), 'must not contain "/" or ".."')
      .describe('The name of a file in `$CREDENTIALS_DIRECTORY`.'),
  }),
  'github-app-key-file': table({
    app_id_env: variableName().describe('The variable that holds the id of the app.'),
    key_file: path().describe("A file with the app's private key, in PEM."),
  }),
};

const words = ['instance-metadata', 'none'] as const;

type SourceTables = { [Kind in keyof typeof sources]: { kind: Kind } & z.output<(typeof sources)[Kind]> };

type SourceWords = { [Kind in (typeof words)[number]]: { kind: Kind } };

/** One credential source; `kind` is its name in ekaci.toml. */
export type CredentialSource = SourceTables[keyof SourceTables] | SourceWords[keyof SourceWords];

const known = [...Object.keys(sources), ...words].map((name) => `"${name}"`).join(', ');
const oneOf = `must be exactly one credential source of ${known}`;

type Written = { readonly [Kind in keyof typeof sources]?: z.output<(typeof sources)[Kind]> | undefined };

const toSource = (written: Written): CredentialSource => {
  if (written.env !== undefined) return { kind: 'env', ...written.env };
  if (written.file !== undefined) return { kind: 'file', ...written.file };
  if (written.vault !== undefined) return { kind: 'vault', ...written.vault };
  const {
    'aws-profile': profile,
    'cachix-token': cachix,
    'aws-secrets-manager': manager,
    'systemd-credential': systemd,
    'github-app-key-file': app,
  } = written;
  if (profile !== undefined) return { kind: 'aws-profile', ...profile };
  if (cachix !== undefined) return { kind: 'cachix-token', ...cachix };
  if (manager !== undefined) return { kind: 'aws-secrets-manager', ...manager };
  if (systemd !== undefined) return { kind: 'systemd-credential', ...systemd };
  if (app !== undefined) return { kind: 'github-app-key-file', ...app };
  throw new Error('a credential source of no kind passed its check');
};

const SourceTable = table(sources)
  .partial()
  .refine((written) => Object.keys(written).length === 1, oneOf)
  .meta({ minProperties: 1, maxProperties: 1 })
  .transform(toSource);

const Word = z.enum(words, oneOf).transform((kind): CredentialSource => ({ kind }));

export const credentialSource = () =>
  z.union([Word, SourceTable], {
    error: ({ input }) => (input === undefined ? `is missing: it ${oneOf}` : oneOf),
  });
