// docs/reference/configuration.*: the page on ekaci.toml and the editors' JSON Schema, both from the one Zod schema.
import { derivedDefaults } from '@eka-ci/server/config/server-config-defaults';
import { namedVariables } from '@eka-ci/server/config/server-config-environment';
import { ServerConfigSchema } from '@eka-ci/server/config/server-config-schema';
import { notYet } from '@eka-ci/server/config/server-config-support';
import { settingFlags } from '@eka-ci/server/config/server-flags';
import { z } from 'zod';

type Schema = z.core.JSONSchema.JSONSchema;

const toSchema = (): Schema => z.toJSONSchema(ServerConfigSchema, { io: 'input' });

export const renderServerConfigurationSchema = (): Promise<string> =>
  Promise.resolve(`${JSON.stringify({ title: 'ekaci.toml', ...toSchema() }, null, 2)}\n`);

const asSchema = (schema: Schema | boolean | undefined): Schema => (typeof schema === 'object' ? schema : {});

const entriesOf = (list: Schema): Schema => asSchema(Array.isArray(list.items) ? list.items[0] : list.items);

/** Tables that several lists have: each is described once, under a heading of its own. */
const sharedTables: Readonly<Record<string, string>> = {
  permissions: 'Permissions',
  credentials: 'Credential sources',
};

const typeOf = (name: string, schema: Schema): string => {
  const shared = sharedTables[name];
  if (shared !== undefined) return `[${shared}](#${shared.toLowerCase().replaceAll(' ', '-')})`;
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => typeOf('', asSchema(one))).join(' or ');
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (schema.title !== undefined) return schema.title;
  if (schema.type === 'array') return `list: ${typeOf('', entriesOf(schema))}`;
  if (schema.type === 'integer') return `whole number, ${schema.minimum} to ${schema.maximum}`;
  return schema.type === 'boolean' ? 'true or false' : schema.type === 'string' ? 'text' : 'table';
};

const defaultOf = (path: string, schema: Schema, isRequired: boolean): string => {
  const derived = derivedDefaults[path];
  if (derived !== undefined) return derived;
  if (schema.default === undefined) return isRequired ? 'required' : '';
  return `\`${JSON.stringify(schema.default)}\``;
};

/** What stands between backticks is shown as it is; elsewhere `<` would begin a tag. */
const escapeText = (text: string): string =>
  text
    .replaceAll('|', '\\|')
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');

const isWanting = (path: string): boolean => notYet.includes(path);

const renderTable = (prefix: string, schema: Schema): string => {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => {
    const [entry, path] = [asSchema(value), `${prefix}${key}`];
    const text = escapeText(entry.description ?? '');
    const cells = [
      `\`${path}\``,
      typeOf(key, entry),
      defaultOf(path, entry, required.has(key)),
      isWanting(path) ? `*Not yet.* ${text}` : text,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| key | type | default | |', '|---|---|---|---|', ...rows].join('\n');
};

const isSection = (schema: Schema): boolean => schema.type === 'object';
const isTableList = (schema: Schema): boolean => entriesOf(schema).type === 'object';

const renderSections = (properties: readonly (readonly [string, Schema])[]): string[] =>
  properties.flatMap(([name, schema]) => {
    if (isSection(schema)) {
      return [`## ${name}\n\n${schema.description ?? ''}\n\n${renderTable(`${name}.`, schema)}`];
    }
    if (!isTableList(schema)) return [];
    const wanting = isWanting(name) ? '*Not yet.* ' : '';
    const heading = `## ${name}[]\n\n${wanting}${schema.description ?? ''}`;
    return [`${heading}\n\n${renderTable(`${name}[].`, entriesOf(schema))}`];
  });

const propertyOf = (schema: Schema, name: string): Schema => asSchema(schema.properties?.[name]);

const renderShared = (schema: Schema): string[] => {
  const cache = entriesOf(propertyOf(schema, 'caches'));
  const [word = {}, source = {}] = (propertyOf(cache, 'credentials').anyOf ?? []).map(asSchema);
  const words = (word.enum ?? []).map((value) => `\`${JSON.stringify(value)}\``).join(' or ');
  const tables = Object.entries(source.properties ?? {}).map(([name, value]) =>
    renderTable(`${name}.`, asSchema(value)).split('\n').slice(2).join('\n'),
  );
  return [
    '## Permissions\n\nIn patterns `*` stays within one segment, `**` crosses `/`, and `*` alone matches everything.' +
      `\n\n${renderTable('permissions.', propertyOf(cache, 'permissions'))}`,
    `## Credential sources\n\nEither ${words}, or a table with exactly one of these, as in ` +
      '`credentials.env.vars = ["A", "B"]`.\n\n' +
      ['| key | type | default | |', '|---|---|---|---|', ...tables].join('\n'),
  ];
};

const introduction = `# Configuration of the server

Generated by \`npm run docs\` from its schema; editors can use [the JSON Schema](configuration.schema.json).

The server reads \`ekaci.toml\`: the file of \`--config-file\`, else of \`$EKA_CI_CONFIG_FILE\`, else
\`$XDG_CONFIG_HOME/ekaci/ekaci.toml\`, which alone may be missing. A flag wins over the environment, that over the file,
and that over the default; of a list the whole is taken, never a part. An unknown key and a value out of bounds are
errors, in the file also where something else overrides them. Paths are absolute; on the command line they are relative
to where it is given. \`eka-ci-server --check-config\` prints every value with its origin.

Features that this version does not have are marked *Not yet*: their keys are known, and refused when they are set to
anything but their default.`;

const renderVariables = (): string => {
  const rows = namedVariables.map(([variable, key]) => `| \`${variable}\` | \`${key}\` |`);
  return `## Environment

Every key has a variable, \`EKA_CI_\` and the key in upper case with \`__\` for the dot: \`EKA_CI_WEB__PORT=8080\`,
\`EKA_CI_DB_PATH=/srv/ekaci.db\`. A list is written as JSON or as a TOML value:
\`EKA_CI_GIT_REPOSITORIES='[{ name = "o/r", url = "/srv/r" }]'\`; so is a section, \`EKA_CI_WEB='{ port = 8080 }'\`, whose
keys give way to variables of their own. An empty variable counts as unset. These names work too, and win over the
others; of two for one key the later one holds:

| variable | key |
|---|---|
${rows.join('\n')}

\`GITEA_TOKEN_<DOMAIN>\` and \`GITLAB_TOKEN_<DOMAIN>\` (the domain in upper case, every other character \`_\`) give the token
of a listed instance that has none. \`GITEA_TOKEN\` and \`GITLAB_TOKEN\` do so for the instance that \`GITEA_DOMAIN\` or
\`GITLAB_DOMAIN\` names, or for the only one that is listed; token and domain together make an instance.
\`GITHUB_APP_ID\` and \`GITHUB_APP_PRIVATE_KEY\` make an app \`default\` when none is listed.`;
};

const renderFlags = (): string => {
  const rows = Object.entries(settingFlags).map(([flag, { key }]) => `| \`--${flag}\` | \`${key}\` |`);
  return `## Flags\n\n| flag | key |\n|---|---|\n${rows.join('\n')}`;
};

export const renderServerConfigurationPage = (): Promise<string> => {
  const schema = toSchema();
  const properties = Object.entries(schema.properties ?? {}).map(
    ([name, value]) => [name, asSchema(value)] as const,
  );
  const plain = properties.filter(([, value]) => !isSection(value) && !isTableList(value));
  const top: Schema = { properties: Object.fromEntries(plain) };
  const parts = [
    introduction,
    renderVariables(),
    renderFlags(),
    `## Top level\n\n${renderTable('', top)}`,
    ...renderSections(properties),
    ...renderShared(schema),
  ];
  return Promise.resolve(`${parts.join('\n\n')}\n`);
};
