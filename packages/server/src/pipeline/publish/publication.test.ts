// What a judgement hands on: whose word names the caches, which roots, and what is said of names that lead nowhere.
import type { OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import { evaluateSets, type PackageSet } from '@eka-ci/core/testing/package-set';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RepositoryConfig, RepositoryConfigSchema } from '../../config/repository-config-schema.ts';
import {
  type JobBuild,
  type JudgedRoots,
  type Publication,
  type PublishedRoot,
  type PublishingPlace,
  type PublishRules,
  publicationOf,
  readPublication,
  refusedNames,
  unknownNames,
} from './publication.ts';
import { partsOf, writePublication } from './publication-parts.ts';
import { everybody, onlyMain, onMain, onPull } from './testing/push-world.ts';
import { candidatesOf, wantedPushes } from './wanted-pushes.ts';

const base: PackageSet = {
  libc: { version: '1' },
  hello: { version: '1', inputs: ['libc'] },
  alone: { version: '1' },
};
const head: PackageSet = { ...base, hello: { version: '2', inputs: ['libc'] }, more: { version: '1' } };

const sets = evaluateSets(base, head);
const plan = planRebuilds(sets);
const [hello, more, alone, libc] = ['hello', 'more', 'alone', 'libc'].map((attr) => sets.judgedDrv(attr));

const config = (jobs: Record<string, { caches?: string[]; hooks?: string[] }>): RepositoryConfig =>
  RepositoryConfigSchema.parse({
    jobs: Object.fromEntries(Object.entries(jobs).map(([name, job]) => [name, { file: 'a.nix', ...job }])),
  });

const rules: PublishRules = {
  caches: new Map([
    ['release', onlyMain],
    ['everybody', everybody],
  ]),
  hooks: new Map([['notify', onlyMain]]),
};

const failing = new Set<DrvPath | undefined>([more]);
const outcomes: Pick<OutcomeLookup, 'judged'> = {
  judged: (drv) => ({ state: failing.has(drv) ? 'failed' : 'succeeded' }),
};

const judged = (place: PublishingPlace, deciding: RepositoryConfig | null): JudgedRoots => ({
  ...{ place, config: deciding, plans: [plan], outcomes, graph: sets.graph, commit: 'c' as CommitSha },
});
const named = config({ [plan.job]: { caches: ['release', 'everybody', 'nowhere'], hooks: ['notify'] } });

const endings = async (place: PublishingPlace) => {
  const [job] = (await publicationOf(judged(place, named), rules))?.jobs ?? [];
  return new Map(job?.roots.map(({ drv, ending }) => [drv, ending]));
};

describe('what is handed on', () => {
  it('is of a change what it has built, for those that its place is let through to', async () => {
    const publication = await publicationOf(judged(onPull, named), rules);
    expect(publication?.jobs).toMatchObject([{ name: plan.job, caches: ['everybody'], hooks: [] }]);
    expect(await endings(onPull)).toEqual(
      new Map([
        [hello, 'succeeded'],
        [more, 'failed'],
      ]),
    );
  });

  it('is of a branch all that it holds', async () => {
    const publication = await publicationOf(judged(onMain, named), rules);
    expect(publication?.jobs).toMatchObject([{ caches: ['release', 'everybody'], hooks: ['notify'] }]);
    expect(await endings(onMain)).toEqual(
      new Map([
        [hello, 'succeeded'],
        [more, 'failed'],
        [alone, 'open'],
        [libc, 'open'],
      ]),
    );
  });

  it('is nothing where nobody who may decide has named anything', async () => {
    expect(await publicationOf(judged(onPull, null), rules)).toBeNull();
    expect(await publicationOf(judged(onPull, config({})), rules)).toBeNull();
    expect(
      await publicationOf(judged(onPull, config({ other: { caches: ['everybody'] } })), rules),
    ).toBeNull();
    expect(
      await publicationOf(judged(onPull, config({ [plan.job]: { caches: ['release'] } })), rules),
    ).toBeNull();
    // A job may be called so; it is no property that every object has.
    const odd = { ...judged(onMain, config({})), plans: [{ ...plan, job: 'constructor' }] };
    expect(await publicationOf(odd, rules)).toBeNull();
  });

  const read = (json: string, repository: string | null = null) => readPublication({ json, repository });

  it('is read back as it was written, but for the name of its repository, and nothing else is', async () => {
    const publication = await publicationOf(judged(onMain, named), rules);
    if (publication === null) throw new Error('nothing');
    const builds = [{ drv: hello as DrvPath, attempt: 1, state: 'succeeded', fixedOutput: false }] as const;
    const [pushes, hooks, ...others] = await writePublication({
      ...publication,
      jobs: publication.jobs.map((job) => ({ ...job, builds })),
    });
    const [asked] = publication.jobs;
    if (asked === undefined) throw new Error('nothing');
    const { caches, hooks: names, roots, ...job } = asked;
    expect([pushes?.readers, hooks?.readers, others]).toEqual([['pushes'], ['hooks'], []]);
    expect(read(pushes?.json ?? '')).toEqual({
      ...publication,
      jobs: [{ ...job, caches, roots, hooks: [] }],
    });
    expect(read(hooks?.json ?? '')).toEqual({
      ...publication,
      jobs: [{ ...job, hooks: names, builds, caches: [], roots: [] }],
    });
    const nameIn = (kept: string) => read(pushes?.json ?? '', kept)?.place.repository;
    const { repository } = onMain;
    expect([repository, `forge.example/${repository}`].map(nameIn)).toEqual([repository, repository]);
    expect(['forge.example/o/new', 'forge.example/#7/set-aside'].map(nameIn)).toEqual([
      'o/new',
      '#7/set-aside',
    ]);
    expect(read('{"schemaVersion":2}')).toBeNull();
    expect(read('{')).toBeNull();
  });
});

describe('the parts of what is handed on', () => {
  const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 });
  const job = fc.record({
    name: fc.string(),
    caches: names,
    hooks: names,
    roots: fc.nat(9),
    builds: fc.nat(9),
  });
  const whole = fc.array(job, { maxLength: 5 }).map((jobs): Publication => {
    let made = 0;
    const drv = (): DrvPath => `/nix/store/${++made}.drv` as DrvPath;
    const roots = (count: number): PublishedRoot[] =>
      Array.from({ length: count }, () => ({ drv: drv(), outputs: [String(made)], ending: 'succeeded' }));
    const builds = (count: number): JobBuild[] =>
      Array.from({ length: count }, () => ({ drv: drv(), attempt: 1, state: 'failed', fixedOutput: true }));
    return {
      ...{ schemaVersion: 1, commit: 'c', place: onMain },
      jobs: jobs.map((one) => ({ ...one, roots: roots(one.roots), builds: builds(one.builds) })),
    };
  });

  it('property: none is large, and together they say to each reader what the whole says', () => {
    fc.assert(
      fc.property(whole, fc.integer({ min: 1, max: 12 }), (publication, size) => {
        const parts = [...partsOf(publication, size)];
        const rootsFor = (jobs: Publication['jobs']) =>
          jobs.flatMap(({ caches, roots }) => caches.flatMap((id) => roots.map(({ drv }) => `${id} ${drv}`)));
        const buildsFor = (jobs: Publication['jobs']) =>
          jobs.flatMap(({ name, hooks, builds }) =>
            hooks.flatMap((id) => builds.map(({ drv }) => `${id} ${drv} ${name}`)),
          );
        for (const { reader, publication: part } of parts) {
          const count = part.jobs.reduce((sum, { roots, builds }) => sum + roots.length + builds.length, 0);
          expect(count).toBeGreaterThan(0);
          expect(count).toBeLessThanOrEqual(size);
          expect((reader === 'pushes' ? buildsFor : rootsFor)(part.jobs)).toEqual([]);
        }
        const said = (reader: 'pushes' | 'hooks') =>
          parts.filter((part) => part.reader === reader).flatMap((part) => part.publication.jobs);
        expect(rootsFor(said('pushes')).toSorted()).toEqual(rootsFor(publication.jobs).toSorted());
        expect(buildsFor(said('hooks')).toSorted()).toEqual(buildsFor(publication.jobs).toSorted());
        // Of equal ones the first job counts.
        const order = said('hooks').flatMap(({ builds }) => builds.map(({ drv }) => drv));
        expect(order).toEqual(order.toSorted((a, b) => Number(a.slice(11, -4)) - Number(b.slice(11, -4))));
      }),
      { numRuns: 200 },
    );
  });
});

describe('names that lead nowhere', () => {
  it('are said of what the change brings', () => {
    const [first = '', ...others] = unknownNames(
      config({ a: { caches: ['nowhere', 'release'], hooks: ['x"y'] } }),
      rules,
    );
    expect(first).toContain('"nowhere"');
    expect(first).not.toContain('release');
    expect(others).toEqual([expect.stringContaining('hook')]);
  });

  it('are said of a place that ekaci.toml keeps out', () => {
    expect(refusedNames(judged(onMain, named), rules)).toEqual([]);
    expect(refusedNames(judged(onPull, named), rules)).toEqual([
      expect.stringContaining('keep pull/7 of owner/set from caches'),
      expect.stringContaining('"notify"'),
    ]);
  });
});

const whole = await publicationOf(judged(onMain, named), rules);

describe('what is to be pushed of it', () => {
  const publication = whole;
  if (publication === null) throw new Error('nothing');
  const { ofCache, floating } = candidatesOf(publication);

  it('is what may be in the store, and what was built and is not is told', () => {
    const candidates = ofCache.get('release') ?? [];
    expect(new Set(candidates.map(({ drv }) => drv))).toEqual(new Set([hello, alone, libc]));
    expect(floating).toEqual([]);
    const valid = new Set(candidates.flatMap(({ drv, outputs }) => (drv === alone ? outputs : [])));
    const chosen = wantedPushes({
      ...{ cache: 'release', place: onMain, candidates, valid },
      publication: { id: 3, changeId: 'c' },
    });
    expect(chosen.wanted).toMatchObject([
      { drv: alone, branch: 'main', priority: 0, publicationId: 3, changeId: 'c' },
    ]);
    expect(chosen.gone).toEqual([hello]);
  });

  it('is one push for equal outputs, whatever jobs they are in', () => {
    const twice = {
      ...publication,
      jobs: publication.jobs.flatMap((job) => [job, { ...job, name: 'again' }]),
    };
    expect(candidatesOf(twice).ofCache.get('release')).toHaveLength(3);
  });

  it('leaves out what could be taken for a derivation, and says so', () => {
    const [job] = publication.jobs;
    if (job === undefined) throw new Error('nothing');
    const roots = job.roots.map((root) => ({
      ...root,
      outputs: [...root.outputs, `${root.outputs[0]}-x.drv`],
    }));
    expect(candidatesOf({ ...publication, jobs: [{ ...job, roots }] })).toEqual({
      ofCache: new Map(),
      floating: [hello],
    });
  });

  it('leaves out what has no path before it is built, and says so', () => {
    const [job] = publication.jobs;
    if (job === undefined) throw new Error('nothing');
    const roots = job.roots.map((root) => ({ ...root, outputs: [] }));
    expect(candidatesOf({ ...publication, jobs: [{ ...job, roots }] })).toEqual({
      ofCache: new Map(),
      floating: [hello],
    });
  });
});
