// What a judgement hands on: whose word names the caches, which roots, and what is said of names that lead nowhere.
import type { OutcomeLookup } from '@eka-ci/core/attr-outcome';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import { evaluateSets, type PackageSet } from '@eka-ci/core/testing/package-set';
import { describe, expect, it } from 'vitest';
import { type RepositoryConfig, RepositoryConfigSchema } from '../../config/repository-config-schema.ts';
import {
  type JudgedRoots,
  type PublishingPlace,
  type PublishRules,
  publicationOf,
  readPublication,
  refusedNames,
  unknownNames,
  writePublication,
} from './publication.ts';
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

const endings = (place: PublishingPlace) => {
  const [job] = publicationOf(judged(place, named), rules)?.jobs ?? [];
  return new Map(job?.roots.map(({ drv, ending }) => [drv, ending]));
};

describe('what is handed on', () => {
  it('is of a change what it has built, for those that its place is let through to', () => {
    const publication = publicationOf(judged(onPull, named), rules);
    expect(publication?.jobs).toMatchObject([{ name: plan.job, caches: ['everybody'], hooks: [] }]);
    expect(endings(onPull)).toEqual(
      new Map([
        [hello, 'succeeded'],
        [more, 'failed'],
      ]),
    );
  });

  it('is of a branch all that it holds', () => {
    const publication = publicationOf(judged(onMain, named), rules);
    expect(publication?.jobs).toMatchObject([{ caches: ['release', 'everybody'], hooks: ['notify'] }]);
    expect(endings(onMain)).toEqual(
      new Map([
        [hello, 'succeeded'],
        [more, 'failed'],
        [alone, 'open'],
        [libc, 'open'],
      ]),
    );
  });

  it('is nothing where nobody who may decide has named anything', () => {
    expect(publicationOf(judged(onPull, null), rules)).toBeNull();
    expect(publicationOf(judged(onPull, config({})), rules)).toBeNull();
    expect(publicationOf(judged(onPull, config({ other: { caches: ['everybody'] } })), rules)).toBeNull();
    expect(publicationOf(judged(onPull, config({ [plan.job]: { caches: ['release'] } })), rules)).toBeNull();
    // A job may be called so; it is no property that every object has.
    const odd = { ...judged(onMain, config({})), plans: [{ ...plan, job: 'constructor' }] };
    expect(publicationOf(odd, rules)).toBeNull();
  });

  it('is read back as it was written, and nothing else is', () => {
    const publication = publicationOf(judged(onMain, named), rules);
    if (publication === null) throw new Error('nothing');
    const kept = writePublication(publication);
    expect(kept.readers).toEqual(['pushes', 'hooks']);
    expect(readPublication(kept.json)).toEqual(publication);
    expect(readPublication('{"schemaVersion":2}')).toBeNull();
    expect(readPublication('{')).toBeNull();
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

describe('what is to be pushed of it', () => {
  const publication = publicationOf(judged(onMain, named), rules);
  if (publication === null) throw new Error('nothing');
  const { ofCache, floating } = candidatesOf(publication);

  it('is what may be in the store, and what was built and is not is told', () => {
    const candidates = ofCache.get('release') ?? [];
    expect(new Set(candidates.map(({ drv }) => drv))).toEqual(new Set([hello, alone, libc]));
    expect(floating).toEqual([]);
    const valid = new Set(candidates.flatMap(({ drv, outputs }) => (drv === alone ? outputs : [])));
    const chosen = wantedPushes({ cache: 'release', publicationId: 3, place: onMain, candidates, valid });
    expect(chosen.wanted).toMatchObject([{ drv: alone, branch: 'main', priority: 0, publicationId: 3 }]);
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
