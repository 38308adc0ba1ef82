// The one description of a repository's configuration file. Validation, messages, reference pages and the editors'
// JSON Schema are all made from it. The file is untrusted: it may name things, never define rights or host paths.
import { z } from 'zod';
import { parseSafePath } from '../lib/safe-path.ts';

/** Any character that does not print: controls, bidirectional and other format marks, unassigned code points. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Words for a value of a wrong type, or for none. */
const expecting = (message: string) => ({
  error: ({ input }: { readonly input?: unknown }): string =>
    input === undefined ? `is missing: it ${message}` : message,
});

const text = (maxLength: number) => {
  const message = `must be a text of 1 to ${maxLength} printable characters`;
  return z
    .string(expecting(message))
    .min(1, message)
    .max(maxLength, message)
    .refine((value) => !unprintable.test(value), message);
};

const wholeNumber = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  return z.number(expecting(message)).int(message).min(min, message).max(max, message);
};

const flag = () => z.boolean('must be true or false');

const list = <Item extends z.ZodType>(item: Item, max: number) => {
  const message = `must be a list of at most ${max} entries`;
  return z.array(item, expecting(message)).max(max, message);
};

const choice = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, expecting(`must be one of ${values.map((value) => `"${value}"`).join(', ')}`));

const object = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape, 'must be an object');

const attrPathPattern =
  /^(?:[A-Za-z0-9_][\w'+-]*|"(?:[^"\\]|\\.)+")(?:\.(?:[A-Za-z0-9_][\w'+-]*|"(?:[^"\\]|\\.)+"))*$/;

const repositoryFile = text(1000).superRefine((file, context) => {
  const parsed = parseSafePath(file);
  if (parsed.kind === 'refused') {
    context.addIssue({
      code: 'custom',
      message: `${parsed.reason}: name a file inside the repository, relative to its root`,
    });
  }
});

const systems = list(
  z
    .string('must be a Nix system such as "x86_64-linux"')
    .regex(/^[a-z0-9_]{1,32}-[a-z0-9_]{1,32}$/, 'must be a Nix system such as "x86_64-linux"'),
  20,
).min(1, 'must name at least one system, or be left out');

const SizeCheck = object({
  max_increase_percent: z
    .number(expecting('must be a number from 0 to 10000'))
    .min(0, 'must be a number from 0 to 10000')
    .max(10_000, 'must be a number from 0 to 10000')
    .describe('An output that grows by more than this, in per cent of its size on the base, is pointed out.'),
  base_branch: text(255)
    .optional()
    .describe('Compare with this branch. Without it: the branch that the change wants to join.'),
});

const JobSchema = object({
  file: repositoryFile.describe(
    'The Nix file that is evaluated, relative to the root of the repository; of a directory its default.nix.',
  ),
  attr_path: text(1000)
    .regex(attrPathPattern, 'must be attribute names joined by dots, such as python3.pkgs or pkgs."a.b"')
    .optional()
    .describe('Only what lies below this attribute is evaluated.'),
  allow_eval_failures: flag()
    .default(true)
    .describe(
      'True: only attributes that evaluate on the base fail the gate when they no longer do. False: any does.',
    ),
  caches: list(text(100), 20).default([]).describe('Ids of caches of the server that results are pushed to.'),
  hooks: list(text(100), 20).default([]).describe('Ids of hooks of the server that run after builds.'),
  size_check: SizeCheck.optional().describe('Point out outputs that grow.'),
  systems: systems
    .optional()
    .describe('Nix systems to evaluate for. Without it: those that the server builds for.'),
  submodules: flag().default(false).describe('Check out git submodules before evaluating.'),
  lfs: flag()
    .default(false)
    .describe('Replace Git LFS pointers by the files they stand for before evaluating.'),
});

const CheckSchema = object({
  shell: text(200)
    .optional()
    .describe(
      'The development shell that the command runs in: `devShells.<system>.<shell>` of the flake. With neither this ' +
        "nor `shell_nix` it finds the programs of the server's system, and nothing else.",
    ),
  shell_nix: flag()
    .default(false)
    .describe(
      'Run in the environment of shell.nix at the root in place of a flake shell, or of its attribute `shell`.',
    ),
  command: z
    .string(expecting('must be a text of 1 to 10000 characters'))
    .min(1, 'must be a text of 1 to 10000 characters')
    .max(10_000, 'must be a text of 1 to 10000 characters')
    .refine((command) => !command.includes('\0'), 'must not contain a NUL character')
    .describe(
      'What is run in the sandbox, over a writable copy of the checkout. A non-zero status fails the check.',
    ),
  allow_network: flag()
    .default(false)
    .describe('Give the command network access: only where the base gives it to the check of the same name.'),
  timeout_seconds: wholeNumber(1, 86_400)
    .default(600)
    .describe('The command is ended after this many seconds.'),
});

const FlakeOutput = (of: string) =>
  object({ enable: flag().default(false).describe(`Make ${of} of the flake a job.`) });

const FlakeSchema = object({
  checks: FlakeOutput('checks.<system>').prefault({}).describe('The job flake.checks.'),
  packages: FlakeOutput('packages.<system>').prefault({}).describe('The job flake.packages.'),
});

const PackageChangeSummary = object({
  enabled: flag().default(true).describe('Show what the change does to packages.'),
  max_packages_listed: wholeNumber(1, 1000)
    .default(100)
    .describe('Rows shown before the table becomes counts.'),
  include_rebuild_only: flag().default(false).describe('Also list packages that are only built again.'),
});

const RebuildImpact = object({
  enabled: flag().default(true).describe('Show what the change makes build again, and because of what.'),
  max_top_blast_radius: wholeNumber(0, 50).default(5).describe('How many of the widest causes are listed.'),
  compute_full_blast_radius: flag()
    .default(false)
    .describe('Count the dependents of every cause, not only of the widest.'),
});

const ChangeSet = object({
  paths: list(text(500), 100)
    .min(1, 'must name at least one pattern')
    .describe('Patterns of whole paths: `*` stays within one segment, `**` crosses `/`.'),
  kind: choice(['docs-only', 'no-op', 'full-rebuild']).describe(
    'docs-only, no-op: no evaluation when every path of the diff matches. full-rebuild: kept jobsets are not used.',
  ),
});

const Branch = object({
  pattern: text(255).describe(
    'Branch names: `*` stays within one segment, `**` crosses `/`, `*` alone matches all.',
  ),
  build: choice(['all', 'changed', 'evaluate'])
    .default('changed')
    .describe('all: every root is built. changed: what the push changed. evaluate: nothing is built.'),
});

const name = text(100).refine((value) => value.trim() === value, 'must not begin or end with a space');

/** At most this many jobs, and as many checks, in one file. */
const mostJobs = 100;

const named = <Value extends z.ZodType>(value: Value, what: string) =>
  z
    .record(name, value, `must be an object: one member a ${what}, its key the ${what}'s name`)
    .refine((members) => Object.keys(members).length <= mostJobs, `must have at most ${mostJobs} ${what}s`);

export const RepositoryConfigSchema = object({
  jobs: named(JobSchema, 'job').default({}).describe('What is evaluated and built, by name.'),
  checks: named(CheckSchema, 'check').default({}).describe('Sandboxed commands over the checkout, by name.'),
  flake: FlakeSchema.prefault({}).describe('Jobs made from the outputs of the flake at the root.'),
  package_change_summary: PackageChangeSummary.prefault({}).describe('The change summary on the forge.'),
  rebuild_impact: RebuildImpact.prefault({}).describe('The part of the summary about rebuilds.'),
  change_sets: list(ChangeSet, 50)
    .default([])
    .describe('What a diff proves by its paths alone. Read from the base, never from the change.'),
  branches: list(Branch, 50)
    .default([])
    .describe(
      'How much is built of branches that the server keeps as baselines: at most what the server says. The first ' +
        'pattern that matches counts, and each branch is built as its own newest commit says.',
    ),
}).superRefine((config, context) => {
  for (const job of Object.keys(config.jobs)) {
    if (job === 'flake.packages' || job === 'flake.checks') {
      const message = `is the name of a job made by the "flake" section: choose another name`;
      context.addIssue({ code: 'custom', path: ['jobs', job], message });
    }
    if (Object.hasOwn(config.checks, job)) {
      const message = `is also the name of a job, and both would share one gate: rename one of them`;
      context.addIssue({ code: 'custom', path: ['checks', job], message });
    }
  }
});

/** A repository's configuration with every default filled in. Keys are spelled as in the documentation. */
export type RepositoryConfig = z.output<typeof RepositoryConfigSchema>;
export type ChangeSetConfig = RepositoryConfig['change_sets'][number];
export type ChangeSetKind = ChangeSetConfig['kind'];
