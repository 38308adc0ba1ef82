// The demo's four branches, judged by the real command: every row as it was planted.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareVerdict } from '../tools/demo/compare-verdict.ts';
import { createDemoRepository, type DemoRepository } from '../tools/demo/repository.ts';
import { createWorld, type World } from './testing/ekaci.ts';

let world: World;
let repository: DemoRepository;

beforeAll(async () => {
  world = await createWorld();
  repository = await createDemoRepository(world.folder);
});
afterAll(() => world.remove());

const judge = async (name: string) => {
  const branch = repository.branches.find((one) => one.name === name);
  if (branch === undefined) throw new Error(`the demo has no branch ${name}`);
  const { status, summary } = await world.review(repository.path, '--base', 'main', '--head', name);
  expect(compareVerdict(summary, branch.expected)).toEqual([]);
  const job = summary.jobs[0];
  if (job === undefined) throw new Error('no job was judged');
  return { status, summary, job };
};

// One after the other and in this order: what the first builds, the next ones find built.
describe('the demo', () => {
  it('a bump in the middle of the graph: a failure that the base has too, built there to know it, fails nothing', async () => {
    const { status, job } = await judge('bump-libpng');
    expect(status).toBe(0);
    const failing = job.outcomes.find(({ attr }) => attr === 'doc-generator');
    expect(failing).toMatchObject({ kind: 'still-failing', base: 'failed', cause: 'builder-exit' });
    expect(failing?.logTail).toContain("error: cannot open font 'manual.ttf'");
    expect(job.rebuildImpact?.editedAttrs).toEqual(['libpng']);
    // Behind its base by a bump of lua, which is none of this change's doing.
    expect(job.packageChanges.map(({ attr }) => attr)).not.toContain('lua');
  });

  it('a new package, and a licence that changes without a rebuild', async () => {
    const { status, job } = await judge('add-json-tools');
    expect(status).toBe(0);
    expect(job.rebuildImpact?.totalRebuilds).toBe(1);
    expect(job.packageChanges.find(({ attr }) => attr === 'query-shell')).toMatchObject({
      primary: null,
      secondary: [{ kind: 'LicenseChange', old: ['Public Domain'], new: ['MIT'] }],
    });
  });

  it('a package that newly breaks, and with it its five dependents, each naming it as the culprit', async () => {
    const { status, job } = await judge('update-fetcher');
    expect(status).toBe(1);
    const newlyFailing = job.outcomes.filter(({ kind }) => kind === 'newly-failing');
    expect(newlyFailing).toHaveLength(6);
    for (const outcome of newlyFailing) expect(outcome.culprit?.name).toBe('fetcher-2.0.0');
    expect(newlyFailing[0]?.logTail.join('\n')).toContain('error: fetcher 2.0.0 needs libssl 3');
  });

  it('a download that moves: every dependent has another derivation, nothing is rebuilt, and it says so', async () => {
    const { status, summary, job } = await judge('move-sqlite-download');
    expect(status).toBe(0);
    expect(job.rebuildImpact?.totalRebuilds).toBe(0);
    expect(job.packageChanges).toEqual([]);
    expect(summary.headline).toContain('Nothing to rebuild');
    const text = await world.ekaci(
      'review',
      repository.path,
      '--base',
      'main',
      '--head',
      'move-sqlite-download',
    );
    expect(text.stdout).toContain('Rebuilds nothing.');
  });
});

it('leaves nothing behind in the temporary folder, and no root in the store', async () => {
  const { readdir } = await import('node:fs/promises');
  expect(await readdir(world.temporary)).toEqual([]);
});
