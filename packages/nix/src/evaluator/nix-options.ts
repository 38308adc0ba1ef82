// The settings that stock workers run Nix with. Its configuration files are out of sight: what matters is named here.
import type { NixInstallation } from '../installation.ts';
import type { EvaluationRequest } from './evaluator.ts';

export type NixSettings = Readonly<Record<string, string>>;

/** As the new command line evaluates them: without clock, environment and files outside. */
const flakeSettings: NixSettings = {
  'experimental-features': 'nix-command flakes',
  'flake-registry': '',
  'pure-eval': 'true',
};

export const nixSettings = (nix: NixInstallation, request: EvaluationRequest): NixSettings => ({
  'allow-import-from-derivation': String(request.allowImportFromDerivation),
  ...(request.target.kind === 'flake' ? flakeSettings : {}),
  // Root in a user namespace cannot give the store to a group.
  ...(nix.access === 'direct' ? { 'build-users-group': '' } : {}),
  // Builds belong to the scheduler; evaluation neither substitutes nor goes to remote builders.
  ...(request.allowImportFromDerivation ? {} : { substituters: '', builders: '' }),
  // Without network every attempt fails alike: the default of five takes ten seconds to say so.
  ...(request.allowNetwork ? {} : { 'download-attempts': '1', 'connect-timeout': '5' }),
});

/** Arguments of `nix-instantiate` for a worker. */
export const workerArguments = (
  nix: NixInstallation,
  request: EvaluationRequest,
  buildSettings: NixSettings,
): string[] => {
  const extra = request.allowImportFromDerivation ? buildSettings : {};
  const settings = Object.entries({ ...nixSettings(nix, request), ...extra });
  return [
    '--eval',
    '--strict',
    '--read-write-mode',
    '--show-trace',
    '--log-format',
    'internal-json',
    ...settings.flatMap(([name, value]) => ['--option', name, value]),
  ];
};
