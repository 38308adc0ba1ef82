// Which checks a tree's configuration asks for, and what of it the base allows. Pure.
import { createHash } from 'node:crypto';
import type { TreeSha } from '@eka-ci/core/ids';
import type { RepositoryConfig } from '../../config/repository-config.ts';
import type { SandboxLimits } from '../../sandbox/sandbox.ts';
import { splitAttrPath } from '../jobs.ts';

export type ShellWanted =
  /** Of the flake at the root: `devShells.<system>.<name>`. */
  | { readonly kind: 'flake'; readonly name: string }
  /** `shell.nix` at the root, or an attribute of it. */
  | { readonly kind: 'file'; readonly attrPath: readonly string[] };

export interface AskedCheck {
  readonly name: string;
  readonly command: string;
  /** Null: the programs of the system, and nothing else. */
  readonly shell: ShellWanted | null;
  /** It asks for it, and unallowed: the base does not allow it; refused: nor does this server. */
  readonly network: 'none' | 'allowed' | 'unallowed' | 'refused';
  readonly timeoutMs: number;
}

type CheckConfig = RepositoryConfig['checks'][string];

const shellOf = ({ shell, shell_nix: ofFile }: CheckConfig): ShellWanted | null => {
  if (ofFile) return { kind: 'file', attrPath: shell === undefined ? [] : splitAttrPath(shell) };
  return shell === undefined ? null : { kind: 'flake', name: shell };
};

const allows = (base: RepositoryConfig | null, name: string): boolean =>
  base !== null && Object.hasOwn(base.checks, name) && base.checks[name]?.allow_network === true;

/**
 * @param base what decides trust; null: nothing is allowed
 * @returns by name in code-unit order
 */
export const checksOf = (config: RepositoryConfig, base: RepositoryConfig | null): readonly AskedCheck[] =>
  Object.entries(config.checks)
    .map(([name, check]): AskedCheck => {
      const network = check.allow_network ? (allows(base, name) ? 'allowed' : 'unallowed') : 'none';
      const timeoutMs = check.timeout_seconds * 1000;
      return { name, command: check.command, shell: shellOf(check), network, timeoutMs };
    })
    .toSorted((one, other) => (one.name < other.name ? -1 : 1));

/** Where the server's own configuration keeps the repository from the network. */
export const withoutNetwork = (check: AskedCheck): AskedCheck =>
  check.network === 'allowed' ? { ...check, network: 'refused' } : check;

/** Where the server's own configuration gives less time. */
export const withinTime = (check: AskedCheck, maxTimeoutMs: number): AskedCheck =>
  check.timeoutMs > maxTimeoutMs ? { ...check, timeoutMs: maxTimeoutMs } : check;

const mostNamed = 5;

/** A sentence for the summary; null where each has the time that it asks for. */
export const describeLessTime = (checks: readonly AskedCheck[], maxTimeoutMs: number): string | null => {
  const longer = checks.filter(({ timeoutMs }) => timeoutMs > maxTimeoutMs);
  if (longer.length === 0) return null;
  const named = longer.slice(0, mostNamed).map(({ name, timeoutMs }) => `${name} (${timeoutMs / 1000} s)`);
  const asked = longer.length > mostNamed ? [...named, `and ${longer.length - mostNamed} more`] : named;
  return (
    `No check of this server may take longer than ${maxTimeoutMs / 1000} s (sandbox.max_timeout_seconds). ` +
    `That is what these have, which ask for more: ${asked.join(', ')}.`
  );
};

/** Where a check is run: what of the server changes what comes of it. */
export interface CheckGround {
  readonly tree: TreeSha;
  /** For a flake, which can see it. */
  readonly rev: string;
  readonly system: string;
  readonly nixVersion: string;
  /** Where programs are that no shell brings. */
  readonly searchPath: string;
  readonly limits: Omit<SandboxLimits, 'timeoutMs'>;
}

/** How environments are made, and commands run in them: a new number asks all questions anew. */
const questionVersion = 2;

/** The same where the same would come of it. A check's own name does not matter. */
export const questionOf = (
  { command, shell, network, timeoutMs }: AskedCheck,
  { tree, rev, system, nixVersion, searchPath, limits }: CheckGround,
): string => {
  const seen = shell?.kind === 'flake' ? rev : null;
  const bounds = [
    timeoutMs,
    limits.maxMemoryMib,
    limits.maxCpuSeconds,
    limits.maxProcesses,
    limits.maxOutputMib,
  ];
  const asked = [
    questionVersion,
    tree,
    seen,
    command,
    shell,
    network,
    system,
    nixVersion,
    searchPath,
    bounds,
  ];
  return createHash('sha256').update(JSON.stringify(asked)).digest('hex');
};
