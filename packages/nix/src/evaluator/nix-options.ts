// The settings that stock workers run Nix with. Its configuration files are out of sight: what matters is named here.
import type { NixInstallation } from '../installation.ts';
import type { EvaluationRequest } from './evaluator.ts';
import type { Prepared } from './preparation.ts';

export type NixSettings = Readonly<Record<string, string>>;

/** As the new command line evaluates them: without clock, environment and files outside. */
const flakeSettings: NixSettings = {
  'experimental-features': 'nix-command flakes',
  'flake-registry': '',
  'pure-eval': 'true',
};

/**
 * Files and directories are the tree, what the evaluation itself put into the store, and what it fetched: nobody lists or
 * reads what others have in the store. Addresses are bounded by the network that it has or has not; `file:` is none.
 */
const fileSettings: NixSettings = {
  'restrict-eval': 'true',
  'allowed-uris': [
    ...[
      'https',
      'http',
      'ftp',
      'ssh',
      'git',
      'git+https',
      'git+http',
      'git+ssh',
      'tarball+https',
      'tarball+http',
    ].map((scheme) => `${scheme}://`),
    ...['github:', 'gitlab:', 'sourcehut:'],
  ].join(' '),
};

export const nixSettings = (nix: NixInstallation, request: EvaluationRequest): NixSettings => ({
  'allow-import-from-derivation': String(request.allowImportFromDerivation),
  ...(request.target.kind === 'flake' ? flakeSettings : fileSettings),
  // Root in a user namespace cannot give the store to a group.
  ...(nix.access === 'direct' ? { 'build-users-group': '' } : {}),
  // Builds belong to the scheduler; evaluation neither substitutes nor goes to remote builders.
  ...(request.allowImportFromDerivation ? {} : { substituters: '', builders: '' }),
  // Without network every attempt fails alike: the default of five takes ten seconds to say so.
  ...(request.allowNetwork ? {} : { 'download-attempts': '1', 'connect-timeout': '5' }),
});

/** Settings, and the tree as what a restricted evaluation may read: by a name that no `<...>` has. */
export const evaluationArguments = (
  settings: NixSettings,
  { request, confinement }: Pick<Prepared, 'request' | 'confinement'>,
): string[] => [
  ...Object.entries(settings).flatMap(([name, value]) => ['--option', name, value]),
  ...(request.target.kind === 'file' ? ['-I', `eka-ci-tree=${confinement.readable}`] : []),
];

/** Arguments of `nix-instantiate` for a worker. */
export const workerArguments = (
  nix: NixInstallation,
  prepared: Pick<Prepared, 'request' | 'confinement'>,
  buildSettings: NixSettings,
): string[] => {
  const { request } = prepared;
  const extra = request.allowImportFromDerivation ? buildSettings : {};
  return [
    '--eval',
    '--strict',
    '--read-write-mode',
    '--show-trace',
    '--log-format',
    'internal-json',
    ...evaluationArguments({ ...nixSettings(nix, request), ...extra }, prepared),
  ];
};
