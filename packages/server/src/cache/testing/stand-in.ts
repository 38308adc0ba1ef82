// Stands in for a program of a cache that cannot be installed everywhere: it writes down how it was called, and puts into a
// scripted cache what it was asked to push, as the real one would.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StandInCall {
  readonly args: readonly string[];
  readonly stdin: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of the file that `config` names, below XDG_CONFIG_HOME; null where it was not there. */
  readonly config: { readonly text: string; readonly mode: string; readonly folderMode: string } | null;
}

export interface StandIn {
  /** To be put before PATH. */
  readonly folder: string;
  calls(): Promise<StandInCall[]>;
  /** What it does from now on, after it has written down how it was called: lines of JavaScript. */
  script(lines: string): Promise<void>;
}

export interface StandInOptions {
  readonly folder: string;
  readonly name: string;
  /** Of its settings, below XDG_CONFIG_HOME. */
  readonly config?: string;
}

const programOf = ({ folder, config = 'none' }: StandInOptions): string => `#!${process.execPath}
const fs = require('node:fs');
const path = require('node:path');
const args = process.argv.slice(2);
const stdin = fs.readFileSync(0, 'utf8');
const file = path.join(process.env.XDG_CONFIG_HOME ?? '/nowhere', ${JSON.stringify(config)});
const mode = (name) => (fs.statSync(name).mode & 0o777).toString(8);
const config = fs.existsSync(file)
  ? { text: fs.readFileSync(file, 'utf8'), mode: mode(file), folderMode: mode(path.dirname(file)) }
  : null;
fs.appendFileSync(${JSON.stringify(join(folder, 'calls'))}, JSON.stringify({ args, stdin, env: process.env, config }) + '\\n');
eval(fs.readFileSync(${JSON.stringify(join(folder, 'script'))}, 'utf8'));
`;

export const createStandIn = async (options: StandInOptions): Promise<StandIn> => {
  const { folder, name } = options;
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(join(folder, 'script'), '');
  await writeFile(join(bin, name), programOf(options));
  await chmod(join(bin, name), 0o755);
  return {
    folder: bin,
    calls: async () => {
      const text = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
      const lines = text.split('\n').filter((line) => line !== '');
      return lines.map((line) => JSON.parse(line) as StandInCall);
    },
    script: (lines) => writeFile(join(folder, 'script'), lines),
  };
};

/** A script that puts a narinfo of each path that it finds in `paths`, an expression, below `url`. */
export const uploadScript = (url: string, paths: string): string => `
(async () => {
  for (const one of ${paths}) {
    const hash = path.basename(one).slice(0, 32);
    await fetch(${JSON.stringify(url)} + hash + '.narinfo', { method: 'PUT', body: 'StorePath: ' + one + '\\n' });
  }
})();
`;
