// The completion scripts, as the shells themselves take them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, runChild } from '@eka-ci/process';
import { expect, it, onTestFinished } from 'vitest';
import { createProgram } from '../program.ts';
import { bashCompletion } from './bash.ts';
import { type CompletableCommand, readCompletionTree } from './completion-tree.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

const tree = readCompletionTree(createProgram());

/** What no command has: everything that a shell could take for its own. */
const hostile: readonly CompletableCommand[] = [
  ...tree,
  {
    path: ["it's"],
    subcommands: [{ name: 'a:b', description: 'it\'s $HOME `id` \\ "x" !' }],
    options: [
      { flags: ['--odd'], description: "'; exit 9; '", value: { kind: 'choices', choices: ['a', "b'c"] } },
    ],
    choices: [],
  },
];

const run = async (shell: string, script: string, ...args: readonly string[]) => {
  const folder = await mkdtemp(join(tmpdir(), 'ekaci-completions-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'script');
  await writeFile(file, script);
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TERM: 'dumb' };
  return await runChild({ command: shell, args: [...args, file], env, cwd: folder });
};

/** What bash offers for the last word. */
const offered = async (...words: readonly string[]): Promise<string[]> => {
  const typed = words.map((word) => `'${word}'`).join(' ');
  const ask = `COMP_WORDS=(ekaci ${typed}); COMP_CWORD=${words.length}; _ekaci; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await run('bash', `set -u\n${bashCompletion(tree)}\n${ask}\n`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.split('\n').filter((line) => line !== '');
};

it('offers in bash what the commands themselves have', async () => {
  const commands = await offered('');
  expect(commands).toEqual(expect.arrayContaining(['review', 'changes', 'drv', 'completions', 'help']));
  expect(await offered('re')).toEqual(expect.arrayContaining(['review', 'rejudge']));
  expect(await offered('drv', '')).toEqual(['help', 'info', 'why']);
  expect(await offered('drv', 'info', '--so')).toEqual(['--socket']);
  expect(await offered('changes', '--state', 'jud')).toEqual(['judging', 'judged']);
  expect(await offered('changes', '--limit', '')).toEqual([]);
  expect(await offered('completions', '')).toEqual(['bash', 'zsh', 'fish']);
  expect(await offered('status', '--socket', 'scr')).toEqual(['script']);
});

it.each([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
] as const)('is a script that %s takes, whatever a description holds', async (shell, script) => {
  const text = script(hostile);
  for (const command of tree) for (const { name } of command.subcommands) expect(text).toContain(name);
  // Only bash is everywhere.
  if (findProgram(shell) === null) return;
  expect(await run(shell, text, '-n')).toMatchObject({ code: 0, stderr: '' });
});

it('describes every command and option', () => {
  for (const { path, subcommands, options } of tree) {
    for (const { name, description } of subcommands)
      expect(description, `${path.join(' ')} ${name}`).not.toBe('');
    for (const { flags, description } of options)
      expect(description, `${path.join(' ')} ${flags.join()}`).not.toBe('');
  }
});
