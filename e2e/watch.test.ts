// `ekaci watch` on a real terminal, beside a server that builds, goes away and comes back.
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';
import { hasTmux, openTerminal, type Terminal, type TerminalSize } from './testing/terminal.ts';

const main = fileURLToPath(new URL('../packages/cli/src/ekaci.mjs', import.meta.url));
const screenModule = new URL('../packages/cli/src/watch/screen.ts', import.meta.url).href;

/** Each says a phase that would clear the screen and three lines, and waits for its gate; `bad` fails then. */
const packageSet = (gates: string): string => `
let
  version = import ./version.nix;
  build = name: derivation {
    name = "\${name}-\${version}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''
      [ \${version} = 1 ] && { echo done > $out; exit 0; }
      printf '@nix {"action":"setPhase","phase":"wipe\\\\u001b[2J \\u4f60\\u597d"}\\n' >&2
      for i in 1 2 3; do echo "line $i of $name"; done
      while [ ! -e ${gates}/\${name} ]; do /bin/sleep 0.05; done
      echo "the end of $name"
      [ \${name} != bad ] || exit 3
      echo done > $out
    '' ];
  } // { pname = name; inherit version; };
in
builtins.listToAttrs (map (name: { inherit name; value = build name; }) [ "bad" "good" "third" ])
`;

/** Then what is there in its place is told. */
const patienceMs = 25_000;

const isThere = await hasTmux();

describe.skipIf(!isThere)('on a terminal (skipped where there is no tmux)', () => {
  let world: World;
  let repository: Repository;
  let configFile: string;
  let server: TestServer;
  let terminal: Terminal | null = null;

  beforeAll(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await terminal?.close();
    terminal = null;
  });
  afterAll(() => world.remove());

  const open = async (
    { columns, rows }: TerminalSize,
    command: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Terminal> => {
    const pidFile = JSON.stringify(join(world.folder, 'pid'));
    const script = [
      'echo before',
      `sh -c 'echo $$ > ${pidFile}; exec ${command}'`,
      'echo "status $?"',
      'stty -a | tr ";" "\\n" | tr " " "\\n" | grep -x -e "-\\?icanon" -e "-\\?echo" -e "-\\?isig"',
      'exec sleep 1000',
    ].join('\n');
    const { PATH = '' } = world.env;
    const known = { ...world.env, PATH, LC_ALL: 'C.UTF-8', TERM: 'xterm-256color', ...env };
    terminal = await openTerminal({ folder: world.folder, columns, rows, script, env: known });
    return terminal;
  };

  /** Until a line of the screen matches, which is given back. */
  const shows = (pattern: RegExp): Promise<string> => {
    const untilMs = Date.now() + patienceMs;
    return until(async () => {
      const screen = (await terminal?.screen()) ?? [];
      const line = screen.find((one) => pattern.test(one));
      if (line !== undefined || Date.now() < untilMs) return line ?? null;
      throw new Error(`${String(pattern)} never came up on:\n${screen.join('\n')}`);
    });
  };

  /** The terminal is as it was, and the program's end is told on it. */
  const restored = async (status: number): Promise<void> => {
    await shows(new RegExp(`^status ${status}$`));
    await shows(/^isig$/);
    const lines = (await terminal?.screen())?.filter((line) => line !== '') ?? [];
    expect(lines).toEqual(expect.arrayContaining(['before', 'icanon', 'echo', 'isig']));
    expect(lines.join('\n')).not.toContain('EkaCI');
    expect(await terminal?.tell('#{alternate_on} #{cursor_flag} #{wrap_flag}')).toBe('0 1 1');
  };

  describe('beside a server', () => {
    beforeEach(async () => {
      if (repository !== undefined) return;
      repository = await createRepository(join(world.folder, 'set'), {
        '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
        'default.nix': packageSet(world.folder),
        'version.nix': '"1"\n',
      });
      configFile = await configureServer(world, repository.path);
      await appendFile(configFile, '[builders]\nlocal_max_jobs = 2\n');
      server = await startServer(world, configFile);
    });
    afterAll(async () => {
      await server.stop();
    });

    const watch = (): string =>
      `${process.execPath} ${main} watch --socket ${join(world.folder, 'ekaci.socket')}`;

    it('shows what runs, waits and fails, a log as it grows, and the server as it goes and comes', {
      timeout: 120_000,
    }, async () => {
      const at = await open({ columns: 80, rows: 24 }, watch());
      await shows(/● live$/);
      await repository.branch('two', { 'version.nix': '"2"\n' });
      expect(await shows(/^ {2}● {2}local {2}2\/2 builds/)).toBeDefined();
      const running = await shows(/^> (bad|good|third)-2 .*wipe\\x1b\[2J 你好/);
      expect(running).toContain('local');
      await shows(/^ {2}(bad|good|third)-2 {2}waits for a free slot/);
      await shows(/#1 two {2}building {2}0\/3 builds/);

      await at.press('Enter');
      await shows(/^line 3 of (bad|good|third)-2$/);
      await at.press('q');
      await shows(/^─ Running 2 /);
      for (const name of ['bad', 'good', 'third']) await writeFile(join(world.folder, name), '');
      await shows(/^ {2}\d+s ago {2}bad-2 {2}failed \(builder-exit\)/);
      await shows(/nothing waits/);
      await at.press('BTab', 'BTab', 'Enter');
      await shows(/^the end of bad-2$/);
      await at.press('Escape');

      await at.resize({ columns: 40, rows: 12 });
      await shows(/^ bu {2}ru {2}qu {2}ch {2}Failures 1/);
      await at.resize({ columns: 1, rows: 1 });
      await at.resize({ columns: 200, rows: 60 });
      await shows(/^─ Builders 1 ─+ +│ ─ Changes 0 ─+$/);

      await server.kill();
      await shows(/○ reconnecting for \d+s$/);
      server = await startServer(world, configFile);
      await shows(/● live$/);
      await at.press('q');
      await restored(0);
    });

    it('gives the terminal back on SIGTERM, Ctrl-C and where ASCII is all there is', {
      timeout: 60_000,
    }, async () => {
      await open({ columns: 80, rows: 24 }, watch(), { LC_ALL: 'C', NO_COLOR: '1' });
      await shows(/\* live$/);
      expect((await terminal?.screen())?.join('')).toMatch(/^[ -~]*$/);
      process.kill(Number(await readFile(join(world.folder, 'pid'), 'utf8')), 'SIGTERM');
      await restored(0);
      await terminal?.close();
      const again = await open({ columns: 24, rows: 8 }, watch());
      await shows(/● live$/);
      await again.press('C-c');
      await restored(0);
    });
  });

  it.each([
    ['an error', 'setTimeout(() => { throw new Error("planted"); })', 1],
    ['an exit', 'process.exit(7)', 7],
  ])('gives the terminal back after %s', { timeout: 30_000 }, async (_name, end, status) => {
    const program = join(world.folder, 'crash.ts');
    const user = '{ charset: { unicode: true }, colours: true, onKey() {}, onResized() {}, onEnd() {} }';
    await writeFile(
      program,
      `import { openScreen } from ${JSON.stringify(screenModule)};
       const screen = openScreen(${user});
       screen.draw([[{ text: 'EkaCI' }]]);
       ${end};\n`,
    );
    await open({ columns: 80, rows: 24 }, `${process.execPath} ${program}`);
    await restored(status);
    if (status === 1) await shows(/planted/);
  });
});
