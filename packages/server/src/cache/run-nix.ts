// Runs commands of `nix` on many paths, and tells what they say.
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { type CopyLogEvent, createCopyLogParser } from '@eka-ci/nix/copy-log';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { chunkArguments } from '@eka-ci/nix/store-queries';
import { readLines, startChild } from '@eka-ci/process';
import { CacheError } from './cache.ts';
import { refused } from './push-fault.ts';

export interface NixRun {
  readonly nix: NixInstallation;
  /** Options of Nix, before those of the command. */
  readonly options: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Null: nobody wants to know; over HTTP Nix tells fifty things of every path. */
  readonly onEvent: ((event: CopyLogEvent) => void) | null;
}

export const noNixCommand = (): CacheError =>
  new CacheError(refused('unsupported', 'the command nix is not installed beside nix-store'));

/** The last ones: they are for people, and say most. */
const maxComplaints = 200;

/** @returns where it is; null where it is not */
export const findNixCommand = async ({ programs }: NixInstallation): Promise<string | null> => {
  const program = join(dirname(programs.store), 'nix');
  return access(program).then(
    () => program,
    () => null,
  );
};

/**
 * Once more is worth nothing here: 2.8 hangs when it has to send a body again, and who asked for the push asks again. Its
 * store is that of `nix`.
 */
const usualOptions = ['--extra-experimental-features', 'nix-command', '--option', 'download-attempts', '1'];

/**
 * One child after the other, each with as many paths as its arguments may be.
 * @returns what the first that failed complained about; null where all is copied
 * @throws CacheError where there is no `nix`; the signal's reason, when its process group has ended
 */
export const runNix = async (
  { nix, options, env, onEvent }: NixRun,
  command: readonly string[],
  { paths, signal }: { readonly paths: readonly StorePath[]; readonly signal: AbortSignal },
): Promise<readonly string[] | null> => {
  const program = await findNixCommand(nix);
  if (program === null) throw noNixCommand();
  for (const chunk of chunkArguments(paths)) {
    const log = onEvent === null ? ['--log-format', 'raw', '--quiet'] : ['--log-format', 'internal-json'];
    const args = [...usualOptions, ...options, ...log, ...command, ...chunk];
    const child = await startChild({ command: program, args, env, signal });
    child.stdout.resume();
    const parse = createCopyLogParser();
    const complaints: string[] = [];
    try {
      for await (const line of readLines(child.stderr, 65_536)) {
        const event = parse(line);
        if (event === null) continue;
        if (event.kind === 'complaint') complaints.push(event.text);
        if (complaints.length > maxComplaints) complaints.shift();
        onEvent?.(event);
      }
    } finally {
      await child.exited;
    }
    const { code, signal: endedBy } = await child.exited;
    signal.throwIfAborted();
    if (code !== 0) return complaints.length === 0 ? [`it ended with ${code ?? endedBy}`] : complaints;
  }
  return null;
};
