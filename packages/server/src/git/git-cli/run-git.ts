// Starts git: an argument list, an environment made from an allow-list, no user or system configuration, no prompt,
// no hook, no helper program, a bound on time, and an end with the caller's signal.
import { type Child, runChild, StartError, startChild } from '@eka-ci/process';
import { GitError } from '../git.ts';
import { readGitFailure } from './git-failure.ts';

export interface GitContext {
  /** The caller's environment; only what `passedOn` names is taken from it. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
  /** Bound on a git that works on this machine. */
  readonly localTimeoutMs: number;
  /** Bound on a fetch. */
  readonly fetchTimeoutMs: number;
}

export interface GitCall {
  /** Completes "git failed while …". */
  readonly doing: string;
  readonly args: readonly string[];
  /** The repository; without it git looks for one from `/` or from what `args` say. */
  readonly gitDir?: string;
  /** Beside the fixed environment; undefined takes a variable out of it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Configuration that must not be seen on a command line, such as URLs and headers. */
  readonly config?: readonly (readonly [key: string, value: string])[];
  /** Exit statuses that are answers. @default [0] */
  readonly accept?: readonly number[];
  /** @default the context's local bound */
  readonly timeoutMs?: number;
}

export interface GitAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const passedOn = [
  'PATH',
  'TMPDIR',
  'SSH_AUTH_SOCK',
  'SUDO_UID',
  'GIT_SSL_CAINFO',
  'SSL_CERT_FILE',
  'NIX_SSL_CERT_FILE',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'ALL_PROXY',
  'no_proxy',
  'NO_PROXY',
] as const;

const fixedEnvironment = {
  LC_ALL: 'C',
  HOME: '/homeless-shelter',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  SSH_ASKPASS: '',
  GIT_OPTIONAL_LOCKS: '0',
  // A sha must mean the object of that name, not what a repository says in its place.
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_LITERAL_PATHSPECS: '1',
  // No protocol at all unless a call says otherwise: older gits know no GIT_NO_LAZY_FETCH.
  GIT_ALLOW_PROTOCOL: 'none',
  // A host that is gone is noticed after a minute, as one over HTTP is by its speed.
  GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4',
  GIT_SSH_VARIANT: 'ssh',
} as const;

/** Stronger than the configuration of whatever repository is read. */
const fixedConfig = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.askPass=',
  'credential.helper=',
  'core.attributesFile=/dev/null',
  'core.excludesFile=/dev/null',
  'core.warnAmbiguousRefs=true',
  'core.symlinks=true',
  'core.fileMode=true',
  'core.ignoreCase=false',
  'core.precomposeUnicode=false',
  'core.protectNTFS=true',
  'core.protectHFS=true',
  'core.autocrlf=false',
  'core.eol=lf',
  'core.logAllRefUpdates=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
].flatMap((setting) => ['-c', setting]);

const environmentOf = (context: GitContext, call: GitCall): Record<string, string> => {
  const env: Record<string, string | undefined> = { ...fixedEnvironment };
  for (const name of passedOn) env[name] = context.env[name];
  for (const [index, [key, value]] of (call.config ?? []).entries()) {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  env['GIT_CONFIG_COUNT'] = String(call.config?.length ?? 0);
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...env, ...call.env })) {
    if (value !== undefined) given[name] = value;
  }
  return given;
};

const childOptions = (context: GitContext, call: GitCall) => ({
  command: 'git',
  args: [...fixedConfig, ...(call.gitDir === undefined ? [] : [`--git-dir=${call.gitDir}`]), ...call.args],
  env: environmentOf(context, call),
  cwd: '/',
  ...(context.signal === undefined ? {} : { signal: context.signal }),
});

const notInstalled = (error: unknown): unknown =>
  error instanceof StartError
    ? new GitError('GIT_NOT_INSTALLED', 'git is not on PATH: install git 2.38 or newer', error)
    : error;

/**
 * Runs git to its end.
 * @throws GitError when it ends with another status than `accept` lists; the signal's reason when that aborted
 */
export const runGit = async (context: GitContext, call: GitCall): Promise<GitAnswer> => {
  const timeoutMs = call.timeoutMs ?? context.localTimeoutMs;
  const result = await runChild({ ...childOptions(context, call), timeoutMs }).catch((error: unknown) => {
    throw notInstalled(error);
  });
  context.signal?.throwIfAborted();
  if (result.timedOut) {
    const seconds = Math.round(timeoutMs / 1000);
    throw new GitError(
      'GIT_TIMEOUT',
      `git was ended after ${seconds} s while ${call.doing}: is the disk or the remote slow?`,
    );
  }
  if (result.code === null || !(call.accept ?? [0]).includes(result.code)) {
    throw readGitFailure(
      call.doing,
      result.stderr,
      `it ended with ${result.signal ?? `status ${result.code}`}`,
    );
  }
  if (result.truncated) {
    // Half a list of paths must never pass for the whole one.
    throw new GitError('GIT_FAILED', `git printed more than can be kept while ${call.doing}`);
  }
  return { code: result.code, stdout: result.stdout, stderr: result.stderr };
};

/** True for more; false ends git, and is no failure. */
export type TakeChunk = (chunk: Buffer) => boolean;

/** @returns whether it was cut off */
const readChunks = async (child: Child, take: TakeChunk): Promise<boolean> => {
  let cut = false;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (cut || take(chunk)) continue;
    cut = true;
    child.end('SIGKILL');
  }
  return cut;
};

/** Runs git and keeps nothing of what it prints. Errors as of `runGit`. */
export const streamGitOutput = async (context: GitContext, call: GitCall, take: TakeChunk): Promise<void> => {
  const child = await startChild(childOptions(context, call)).catch((error: unknown) => {
    throw notInstalled(error);
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 100_000) stderr += text;
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.end('SIGKILL');
  }, context.localTimeoutMs);
  const cut = await readChunks(child, take);
  const exit = await child.exited;
  clearTimeout(timer);
  context.signal?.throwIfAborted();
  if (timedOut) throw new GitError('GIT_TIMEOUT', `git was ended by its time bound while ${call.doing}`);
  if (exit.code !== 0 && !cut)
    throw readGitFailure(call.doing, stderr, `it ended with ${exit.signal ?? exit.code}`);
};

/** Runs git and gives the first `maxBytes` bytes that it prints. Errors as of `runGit`. */
export const readGitOutput = async (
  context: GitContext,
  call: GitCall,
  maxBytes: number,
): Promise<Uint8Array> => {
  const chunks: Buffer[] = [];
  let size = 0;
  await streamGitOutput(context, call, (chunk) => {
    chunks.push(chunk.subarray(0, maxBytes - size));
    size += chunk.length;
    return size <= maxBytes;
  });
  return new Uint8Array(Buffer.concat(chunks));
};

/** The fields of a list in which every one is closed by a NUL. */
export const splitNul = (text: string): string[] => {
  const fields = text.split('\0');
  fields.pop();
  return fields;
};
