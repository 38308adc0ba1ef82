// Makes the demo's git repository: a small package set, one commit on its main branch after four branches left
// it, and the download site that its sources come from. What each branch must be judged to be stands beside it.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '@eka-ci/process';

export interface DemoBranch {
  readonly name: string;
  readonly title: string;
  readonly expected: ExpectedVerdict;
}

/** Rows by attribute, as they were planted. */
export interface ExpectedVerdict {
  readonly conclusion: 'success' | 'failure';
  readonly added: readonly string[];
  readonly bumped: Readonly<Record<string, readonly [old: string, now: string]>>;
  readonly rebuilt: readonly string[];
  readonly licenseChanged: readonly string[];
  readonly newlyFailing: readonly string[];
  readonly stillFailing: readonly string[];
}

export interface DemoRepository {
  readonly path: string;
  readonly branches: readonly DemoBranch[];
}

const nothing: ExpectedVerdict = {
  conclusion: 'success',
  added: [],
  bumped: {},
  rebuilt: [],
  licenseChanged: [],
  newlyFailing: [],
  stillFailing: [],
};

/** File to its new text, made from the old one ('' where there is none). */
type Edits = Readonly<Record<string, (text: string) => string>>;

interface PlannedBranch extends DemoBranch {
  readonly edits: Edits;
}

const sourceText = (file: string): string => {
  const [, name = '', version = ''] = /^(.*)-([0-9.]+)\.src$/.exec(file) ?? [];
  return `${name} ${version}\nthe source of ${name}, as its author released it\n`;
};

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const replaced = (text: string, from: string | RegExp, to: string): string => {
  const result = text.replace(from, to);
  if (result === text) throw new Error(`the demo's edit found nothing to replace: ${String(from)}`);
  return result;
};

const bump =
  (pname: string, from: string, to: string) =>
  (text: string): string => {
    const versioned = replaced(text, `version = "${from}"`, `version = "${to}"`);
    const moved = replaced(versioned, `${pname}-${from}.src`, `${pname}-${to}.src`);
    return replaced(
      moved,
      /sha256 = "[0-9a-f]{64}"/,
      `sha256 = "${sha256(sourceText(`${pname}-${to}.src`))}"`,
    );
  };

const needsNewTls = `  buildPhase = ''
    echo "checking for libssl 3"
    case $inputs in
      *libssl-3.*) ;;
      *)
        echo "error: fetcher 2.0.0 needs libssl 3, found $inputs"
        exit 1
        ;;
    esac
  '';
  inputs =`;

const jsonTools = `{ mkPackage, pcre }:

mkPackage {
  pname = "json-tools";
  version = "1.7";
  inputs = [ pcre ];
  meta = {
    description = "Filters and formats JSON";
    license = "mit";
    maintainers = [ "ada" ];
  };
}
`;

const branches: readonly PlannedBranch[] = [
  {
    name: 'bump-libpng',
    title: 'libpng: 1.6.40 -> 1.6.43',
    edits: { 'pkgs/libpng.nix': bump('libpng', '1.6.40', '1.6.43') },
    expected: {
      ...nothing,
      bumped: { libpng: ['1.6.40', '1.6.43'] },
      rebuilt: ['doc-generator', 'image-viewer', 'photo-album', 'screenshot-tool', 'thumbnailer'],
      stillFailing: ['doc-generator'],
    },
  },
  {
    name: 'add-json-tools',
    title: 'json-tools: init at 1.7; query-shell: relicense',
    edits: {
      'pkgs/json-tools.nix': () => jsonTools,
      'pkgs/query-shell.nix': (text) => replaced(text, 'license = "publicDomain"', 'license = "mit"'),
    },
    expected: { ...nothing, added: ['json-tools'], licenseChanged: ['query-shell'] },
  },
  {
    name: 'update-fetcher',
    title: 'fetcher: 1.9.2 -> 2.0.0',
    edits: {
      'pkgs/fetcher.nix': (text) =>
        replaced(bump('fetcher', '1.9.2', '2.0.0')(text), /^ {2}inputs =/m, needsNewTls),
    },
    expected: {
      ...nothing,
      conclusion: 'failure',
      bumped: { fetcher: ['1.9.2', '2.0.0'] },
      rebuilt: ['mirror-tool', 'news-reader', 'package-index', 'update-bot', 'uptime-check'],
      newlyFailing: ['fetcher', 'mirror-tool', 'news-reader', 'package-index', 'update-bot', 'uptime-check'],
    },
  },
  {
    name: 'move-sqlite-download',
    title: 'sqlite: download from the archive',
    edits: {
      'pkgs/sqlite.nix': (text) =>
        replaced(
          replaced(text, '{ mkPackage, fetchSource }', '{ mkPackage, fetchSource, mirror }'),
          'path = "sqlite-3.45.1.src";',
          'path = "sqlite-3.45.1.src";\n    from = "${mirror.url}/archive";',
        ),
    },
    expected: nothing,
  },
];

/** Lands on main after the branches left it: a verdict that compared heads would show it as a downgrade. */
const landedSince: Edits = { 'pkgs/lua.nix': bump('lua', '5.4.6', '5.4.7') };

const when = '2026-01-05T10:00:00Z';

const gitIn =
  (folder: string) =>
  async (...args: string[]): Promise<void> => {
    const person = { NAME: 'Ada', EMAIL: 'ada@example.org', DATE: when };
    const env: Record<string, string> = {
      PATH: process.env['PATH'] ?? '',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
    };
    for (const [key, value] of Object.entries(person)) {
      env[`GIT_AUTHOR_${key}`] = value;
      env[`GIT_COMMITTER_${key}`] = value;
    }
    const done = await runChild({ command: 'git', args: ['-C', folder, ...args], env });
    if (done.code !== 0) throw new Error(`git ${args.join(' ')} failed: ${done.stderr}`);
  };

const applyEdits = async (folder: string, edits: Edits): Promise<void> => {
  for (const [file, edit] of Object.entries(edits)) {
    const text = await readFile(join(folder, file), 'utf8').catch(() => '');
    await writeFile(join(folder, file), edit(text));
  }
};

const writeMirror = async (folder: string, packageSet: string): Promise<void> => {
  await mkdir(join(folder, 'archive'), { recursive: true });
  const listed = await readFile(join(packageSet, '..', 'mirror.txt'), 'utf8');
  for (const file of listed.split('\n').filter((line) => line !== '')) {
    await writeFile(join(folder, file), sourceText(file));
  }
  await writeFile(join(folder, 'archive', 'sqlite-3.45.1.src'), sourceText('sqlite-3.45.1.src'));
};

/**
 * Makes the repository and its download site in `folder`, which must be empty.
 * @throws Error when git cannot do its part
 */
export const createDemoRepository = async (folder: string): Promise<DemoRepository> => {
  const path = join(folder, 'package-set');
  const mirror = join(folder, 'mirror');
  const template = fileURLToPath(new URL('package-set', import.meta.url));
  await cp(template, path, { recursive: true });
  await writeMirror(mirror, template);
  await applyEdits(path, { 'mirror.nix': (text) => replaced(text, '@mirror@', `file://${mirror}`) });

  const git = gitIn(path);
  await git('init', '--quiet', '--initial-branch=main');
  await git('add', '--all');
  await git('commit', '--quiet', '--message=package set: first import');
  for (const branch of branches) {
    await git('checkout', '--quiet', '-b', branch.name, 'main');
    await applyEdits(path, branch.edits);
    await git('add', '--all');
    await git('commit', '--quiet', `--message=${branch.title}`);
  }
  await git('checkout', '--quiet', 'main');
  await applyEdits(path, landedSince);
  await git('commit', '--quiet', '--all', '--message=lua: 5.4.6 -> 5.4.7');
  return { path, branches };
};
