// What every command owes its reader.
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { renderCommandReference } from './command-reference.ts';
import { createProgram } from './program.ts';

const leavesOf = (command: Command, path: string): (readonly [path: string, command: Command])[] =>
  command.commands.length === 0
    ? [[path, command]]
    : command.commands.flatMap((below) => leavesOf(below, `${path} ${below.name()}`));

const leaves = leavesOf(createProgram(), 'ekaci');

describe.each(leaves)('%s', (path, command) => {
  it('tells examples and exit statuses, and prints JSON where it prints facts', async () => {
    const reference = await renderCommandReference();
    const section = reference.split('\n## ').find((one) => one.startsWith(`${path}\n`)) ?? '';
    expect(section).toContain('\nExamples:\n');
    expect(section).toMatch(/\nExit status:\n {2}0 +\S[^]*\n {2}2 +\S/);
    expect(section).toContain(path);
    if (path === 'ekaci completions') return;
    expect(command.options.map(({ long }) => long)).toContain('--json');
  });
});
