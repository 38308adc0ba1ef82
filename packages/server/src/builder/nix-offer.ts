// What the Nix at hand says of itself: what it can build, its systems and its system features, and how it is set up.
import { access, constants } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { runChild } from '@eka-ci/process';

export interface BuilderOffer {
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** Every setting as Nix shows it, by name; empty where it has no command for that. */
  readonly settings: ReadonlyMap<string, string>;
}

/** Lines `name = value` of the settings; null where the program or the command is not to be had. */
export const readNixSettings = async (
  nix: Pick<NixInstallation, 'programs' | 'env'>,
): Promise<Map<string, string> | null> => {
  const command = join(dirname(nix.programs.store), 'nix');
  // The first is the name up to 2.19 and an alias since; newer ones may drop it.
  for (const words of [['show-config'], ['config', 'show']]) {
    try {
      const args = ['--extra-experimental-features', 'nix-command', ...words];
      const shown = await runChild({ command, args, env: nix.env, timeoutMs: 30_000 });
      if (shown.code !== 0) continue;
      const lines = shown.stdout.split('\n').map((line) => /^(\S+) = (.*)$/.exec(line));
      const settings = new Map(lines.flatMap((match) => (match ? [[match[1] ?? '', match[2] ?? '']] : [])));
      if (settings.has('system')) return settings;
    } catch {
      return null; // There is no such program; nix-store alone is enough to build.
    }
  }
  return null;
};

const currentSystem = async (nix: NixInstallation): Promise<string> => {
  const args = ['--eval', '--expr', 'builtins.currentSystem'];
  const asked = await runChild({ command: nix.programs.instantiate, args, env: nix.env, timeoutMs: 30_000 });
  return (
    /^"(.+)"$/.exec(asked.stdout.trim())?.[1] ?? `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux`
  );
};

/** What Nix offers where nothing else is configured (its manual, `system-features`). */
const defaultFeatures = async (): Promise<string[]> => {
  const kvm = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => ['kvm'],
    () => [],
  );
  return ['nixos-test', 'benchmark', 'big-parallel', ...kvm];
};

const words = (text: string | undefined): string[] => (text ?? '').split(' ').filter((word) => word !== '');

/** Asked of the client's settings; a daemon on the same machine has the same unless it was given others. */
export const findOffer = async (nix: NixInstallation): Promise<BuilderOffer> => {
  const settings = await readNixSettings(nix);
  const system = settings?.get('system') ?? (await currentSystem(nix));
  const features = settings?.get('system-features');
  return {
    systems: [...new Set([system, ...words(settings?.get('extra-platforms')), 'builtin'])],
    features: features === undefined ? await defaultFeatures() : words(features),
    settings: settings ?? new Map<string, string>(),
  };
};
