// What stands in the lists of ekaci.toml: caches, hooks, apps, instances, branches and repositories.
import { credentialSource } from './credential-source.ts';
import { hookVariables } from './hook-command.ts';
import {
  argument,
  branchGlob,
  branchName,
  choice,
  domain,
  entryId,
  flag,
  gitUrl,
  list,
  repositoryGlob,
  repositoryName,
  secret,
  table,
  text,
  webUrl,
  wholeNumber,
} from './setting-values.ts';

const permissions = () =>
  table({
    allow_all: flag().default(true).describe('True: every repository and branch, whatever the lists say.'),
    allowed_repos: list(repositoryGlob())
      .default([])
      .describe('Patterns of `owner/repo`. Empty: no repository.'),
    allowed_branches: list(branchGlob())
      .default([])
      .describe('Patterns of branch names. Empty: every branch.'),
  })
    .prefault({})
    .describe('Which repositories and branches may use it. A pull request is on no branch.');

/** Whatever may stand as a destination of its kind of cache; whether it may be reached is decided at use. */
const isDestination = (type: 'nix-copy' | 'cachix' | 'attic', destination: string): boolean => {
  if (type === 'cachix') return /^[\w.-]+$/.test(destination);
  const url = /[\s\\]/.test(destination) ? null : URL.parse(destination);
  if (url === null || url.password !== '') return false;
  if (type === 'attic') return /^https?:\/\/[^/]+\/[^/]+$/.test(destination) && url.username === '';
  if (destination.startsWith('file:///')) return true;
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
  return /^(?:s3|https?|ssh|ssh-ng):\/\/[^/?#]+/.test(destination) && !(isWeb && url.username !== '');
};

const destinationWords = {
  cachix: 'must be the bare name of a Cachix cache, of letters, digits, ".", "_" and "-"',
  attic: 'must be https://host/cache, without user and password',
  'nix-copy': 'must be an s3, https, http, ssh, ssh-ng or file URL with a host, without a password',
};

export const Cache = table({
  id: entryId().describe('What repositories call it.'),
  cache_type: choice(['nix-copy', 'cachix', 'attic']).describe('What pushes to it.'),
  destination: text(2000).describe('A URL; of a Cachix cache its bare name.'),
  credentials: credentialSource().describe('Where its secrets come from.'),
  permissions: permissions(),
  push: choice(['runtime', 'all'])
    .default('runtime')
    .describe('runtime: what the results need to run. all: what they were built from, too.'),
  timeout_seconds: wholeNumber(1, 86_400).default(3600).describe('A push is ended after this many seconds.'),
  concurrency: wholeNumber(1, 64).default(4).describe('Pushes at a time.'),
}).superRefine((cache, context) => {
  if (isDestination(cache.cache_type, cache.destination)) return;
  context.addIssue({ code: 'custom', path: ['destination'], message: destinationWords[cache.cache_type] });
});

export const Hook = table({
  id: entryId().describe('What repositories call it.'),
  command: list(argument(), 1000)
    .min(1, 'must name at least the program')
    .describe(
      'Program and arguments, without a shell. `$NAME` and `${NAME}` in an argument are replaced by what is known of the ' +
        `build: ${hookVariables.map((name) => `\`${name}\``).join(', ')}; \`$$\` is a dollar. An argument that is ` +
        'exactly `$OUT_PATHS` becomes one argument a path.',
    ),
  credentials: credentialSource().prefault('none').describe('Where its secrets come from.'),
  permissions: permissions(),
  on: list(choice(['success', 'failure', 'fod']), 3)
    .min(1, 'must name at least one of "success", "failure", "fod"')
    .default(['success'])
    .describe('After which builds it runs. fod: after those of fixed-output derivations.'),
  timeout_seconds: wholeNumber(1, 86_400)
    .optional()
    .describe('It is ended after this many seconds; at most `security.max_hook_timeout_seconds`.'),
});

export const GithubApp = table({
  id: entryId().describe('Its name in logs and messages.'),
  credentials: credentialSource().describe('They give `GITHUB_APP_ID` and `GITHUB_APP_PRIVATE_KEY`.'),
  permissions: permissions(),
  api_url: webUrl().prefault('https://api.github.com').describe('Of GitHub Enterprise its own.'),
});

const instance = (variable: string) =>
  table({
    domain: domain().describe('Its host name.'),
    token: secret()
      .optional()
      .describe(`Its access token. Without one: \`${variable}_<DOMAIN>\`, else \`${variable}\`.`),
    credentials: credentialSource().optional().describe('Where its token comes from, in place of `token`.'),
    url: webUrl().optional().describe('Its address. Without it: `https://{domain}`.'),
    webhook_secret: secret()
      .optional()
      .describe('Its own secret of webhooks, in place of `security.webhook_secret`.'),
    permissions: permissions(),
  }).transform((entry) => ({ ...entry, url: entry.url ?? `https://${entry.domain}` }));

export const GiteaInstance = instance('GITEA_TOKEN');
export const GitlabInstance = instance('GITLAB_TOKEN');

export const Branch = table({
  pattern: branchGlob().describe('Names of branches: `*` stays within one segment, `**` crosses `/`.'),
  build: choice(['all', 'changed', 'evaluate'])
    .default('changed')
    .describe(
      'all: every root is built. changed: what the push changed; of a branch that was never seen before nothing. ' +
        'evaluate: nothing is built.',
    ),
});

export const GitRepository = table({
  name: repositoryName().describe('What it is called here: `owner/repo`.'),
  url: gitUrl().describe('Any URL that git can fetch from, or a local path.'),
  base_branch: branchName()
    .default('main')
    .describe('Every other branch that is no baseline is a change that wants to join it.'),
  poll_interval_seconds: wholeNumber(1, 86_400).default(30).describe('How often its branches are looked at.'),
});
