// What everybody may see, by what forges tell and show, and by who has wanted what.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database, StoredChange } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import type { EventRepository } from '../../forge/forge-event.ts';
import { createSharedGraph } from '../graph/shared-graph.ts';
import { createVisibility, type Visibility } from './visibility.ts';

const host = 'github.com';
const head = 'c'.repeat(40) as CommitSha;
const judgedChange = (repository: string, judgedTree: TreeSha): StoredChange => ({
  ...{ id: repository, kind: 'offered', repository, number: 1, branch: 'pull/1', baseBranch: 'main' },
  ...{ base: null, head, judgedTree, title: 't', state: 'judged', createdAtMs: 1, updatedAtMs: 1 },
  ...{ conclusion: 'success', fault: null, faults: 0, retryAtMs: null, approved: false },
  ...{ summaryJson: null, markdown: null, requestJson: null },
});
let database: Database;
let visibility: Visibility;
beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  visibility = createVisibility(database);
});
afterEach(() => database.close());

const repository = (name: string, isPrivate: boolean, id = 1): EventRepository => {
  return { id, name, isPrivate, defaultBranch: 'main' };
};
const restart = async (): Promise<void> => {
  visibility = createVisibility(database);
  await visibility.load();
};

describe('a repository', () => {
  const isHidden = (name: string): boolean => visibility.ownerOf(`${host}/${name}`) !== null;

  it('is hidden as soon as it is told, and shown when the forge shows it', async () => {
    expect(visibility.told(host, repository('octo/one', false))).toBe(false);
    expect(visibility.told(host, repository('octo/one', true))).toBe(true);
    expect([isHidden('Octo/ONE'), isHidden('octo/two')]).toEqual([true, false]);
    expect(visibility.told(host, repository('octo/one', true))).toBe(false);
    // Whoever tells may tell of what is long past.
    visibility.told(host, repository('octo/one', false));
    expect(isHidden('octo/one')).toBe(true);
    await visibility.write();
    await restart();
    expect(isHidden('octo/one')).toBe(true);
    // It was looked at before it was told.
    const before = visibility.mark();
    visibility.told(host, repository('octo/one', true));
    await visibility.seen(host, repository('octo/one', false), before);
    expect(isHidden('octo/one')).toBe(true);
    await visibility.seen(host, repository('octo/one', false), visibility.mark());
    expect(isHidden('octo/one')).toBe(false);
    await restart();
    expect(isHidden('octo/one')).toBe(false);
  });

  it('stays hidden where that is told while it is being shown', async () => {
    await visibility.seen(host, repository('octo/one', true), 0);
    const showing = visibility.seen(host, repository('octo/one', false), visibility.mark());
    visibility.told(host, repository('octo/one', true));
    await showing;
    expect(isHidden('octo/one')).toBe(true);
    await restart();
    expect(isHidden('octo/one')).toBe(true);
  });

  /** As whoever sees a repository at its forge does. */
  const see = async (name: string, isPrivate: boolean, id = 1): Promise<void> => {
    await visibility.seen(host, repository(name, isPrivate, id), visibility.mark());
    const at = { host, repositoryId: id, name, oldName: null, atMs: 1 };
    visibility.named(host, { id, name }, await database.repositories.seen(at));
  };

  it('stays hidden under every name that it had, until another one has that', async () => {
    await see('octo/one', true);
    await see('octo/two', true);
    expect([isHidden('octo/one'), isHidden('octo/two')]).toEqual([true, true]);
    expect(visibility.owners()).toMatchObject([{ name: 'octo/two' }]);
    await see('octo/one', false, 2);
    expect([isHidden('octo/one'), isHidden('octo/two')]).toEqual([false, true]);
    await restart();
    expect([isHidden('octo/one'), isHidden('octo/two')]).toEqual([false, true]);
    // What is kept under this name is of the private one as long as that has not moved.
    await visibility.seen(host, repository('octo/two', false, 3), visibility.mark());
    expect(isHidden('octo/two')).toBe(true);
    await see('octo/two', false, 3);
    const ofWhom = (name: string, id?: number) => visibility.ownerOf(`${host}/${name}`, id);
    for (const _ of ['now', 'after a restart']) {
      expect([isHidden('octo/two'), isHidden('#1/set-aside')]).toEqual([false, true]);
      // By its number, whatever name somebody had in mind.
      expect([ofWhom('octo/two', 1), ofWhom('octo/two', 3)]).toEqual([`${host}#1`, null]);
      expect(visibility.aside()).toEqual([`${host}/#1/set-aside`]);
      await restart();
    }
    // What comes late, of the time when it had that name, hides nothing of the new one.
    visibility.told(host, repository('octo/two', true));
    expect([isHidden('octo/two'), ofWhom('octo/two', 3)]).toEqual([false, null]);
    await visibility.write();
    await restart();
    expect([isHidden('octo/two'), ofWhom('x/y', 1)]).toEqual([false, `${host}#1`]);
  });
});

describe('a derivation', () => {
  const wanted = (paths: readonly DrvPath[], hasRow: boolean) => paths.map((path) => ({ path, hasRow }));
  const seen = (path: DrvPath): readonly string[] | null => visibility.ownersOf(path);

  it('is for everybody as soon and as long as anybody public wants it: in any order of events', async () => {
    const repositories = ['private/a', 'private/b', 'public/c'] as const;
    const event = fc.record({
      by: fc.constantFrom(...repositories),
      drvs: fc.uniqueArray(fc.nat({ max: 5 }), { minLength: 1 }),
      restarts: fc.boolean(),
    });
    for (const [index, name] of ['private/a', 'private/b'].entries()) {
      await visibility.seen(host, repository(name, true, index + 1), 0);
    }
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 12 }), async (events) => {
        // Others than in any round before.
        const paths = Array.from({ length: 6 }, (_, index) => newPath(`p${index}`));
        const wants = new Map<DrvPath, Set<string>>();
        for (const { by, drvs, restarts } of events) {
          const wantedBy = visibility.wantedBy({ kind: 'offered', repository: `${host}/${by}` });
          const rows = paths.flatMap((path, index) =>
            drvs.includes(index) ? [{ path, hasRow: wants.has(path) }] : [],
          );
          await wantedBy.beforeRows(rows);
          for (const { path } of rows) wants.set(path, (wants.get(path) ?? new Set()).add(by));
          await wantedBy.afterRows(rows);
          if (restarts) await restart();
          for (const path of paths) {
            const who = wants.get(path);
            const isOpen = who === undefined || who.has('public/c');
            const owners = isOpen ? null : [...who].map((one) => `${host}#${one === 'private/a' ? 1 : 2}`);
            expect(seen(path)?.toSorted() ?? null).toEqual(owners?.toSorted() ?? null);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is not found before it is known whose it is', async () => {
    await visibility.seen(host, repository('private/a', true), 0);
    const folder = await mkdtemp(join(tmpdir(), 'visibility-test-'));
    const [open, root] = [newPath('open'), newPath('root')];
    const text = (inputs: string): string =>
      `Derive([("out","/nix/store/${'a'.repeat(32)}-out","","")],[${inputs}],[],"x86_64-linux","/bin/sh",[],[("out","/nix/store/${'a'.repeat(32)}-out")])`;
    await writeFile(join(folder, open.slice('/nix/store/'.length)), text(''));
    await writeFile(join(folder, root.slice('/nix/store/'.length)), text(`("${open}",["out"])`));
    const saved: DrvPath[] = [];
    const ingest = async (by: string, wanted: DrvPath) => {
      const graph = createSharedGraph({
        files: { storeDir: '/nix/store', realStoreDir: folder },
        database: {
          ...database,
          derivations: {
            ...database.derivations,
            save: async (nodes) => {
              // Whatever gets a row is hidden by then.
              if (by.startsWith('private')) for (const { path } of nodes) expect(seen(path)).not.toBeNull();
              saved.push(...nodes.map(({ path }) => path));
              await database.derivations.save(nodes);
            },
          },
        },
        capacity: 10,
        clock: Date.now,
      });
      const lease = graph.lease(visibility.wantedBy({ kind: 'offered', repository: `${host}/${by}` }));
      await lease.ingest([wanted], new AbortController().signal);
    };
    await ingest('public/c', open);
    await ingest('private/a', root);
    expect([saved, seen(open), seen(root)]).toEqual([[open, root], null, [`${host}#1`]]);
    // What it has is not saved again, and is for everybody all the same.
    await ingest('public/c', root);
    expect([saved, seen(root)]).toEqual([[open, root], null]);
    await rm(folder, { recursive: true, force: true });
  });

  it('is hidden where its repository becomes private while it gets its row', async () => {
    const path = newPath('between');
    const wantedBy = visibility.wantedBy({ kind: 'offered', repository: `${host}/octo/turns` });
    await wantedBy.beforeRows(wanted([path], false));
    visibility.told(host, repository('octo/turns', true));
    await wantedBy.afterRows(wanted([path], true));
    expect(seen(path)).toEqual([`${host}#1`]);
  });

  it('is not made public by who submits something by hand', async () => {
    await visibility.seen(host, repository('private/a', true), 0);
    const path = newPath('secret');
    await visibility
      .wantedBy({ kind: 'offered', repository: `${host}/private/a` })
      .beforeRows(wanted([path], false));
    await visibility
      .wantedBy({ kind: 'submitted', repository: '/somewhere' })
      .afterRows(wanted([path], true));
    expect(seen(path)).not.toBeNull();
    // Nor where it is the repository itself, by its address.
    const [https, ssh] = [newPath('https'), newPath('ssh')];
    const submit = (repository: string, drv: DrvPath) =>
      visibility.wantedBy({ kind: 'submitted', repository }).beforeRows(wanted([drv], false));
    await submit('https://me@GitHub.com/private/a.git', https);
    await submit('git@github.com:private/a', ssh);
    expect([seen(https), seen(ssh)]).toEqual([seen(path), seen(path)]);
    await visibility.wantedBy({ kind: 'branch', repository: 'example/set' }).afterRows(wanted([path], true));
    expect(seen(path)).toBeNull();
  });

  it('is hidden with a repository that becomes private, where nobody else public wanted it', async () => {
    const [own, shared] = [newPath('own'), newPath('shared')];
    await database.derivations.save([
      newNode([], { path: shared }),
      newNode([{ path: shared, outputs: ['out'] }], { path: own }),
    ]);
    const judge = async (name: string, drvPath: DrvPath) => {
      const tree = `tree of ${name}` as TreeSha;
      const key = { tree, commit: null, jobDefinition: 'j', systems: ['s'], evaluator: 'e' };
      const identity = {
        attr: 'a',
        attrPath: ['a'],
        name: 'n',
        system: 's',
        outputs: {},
        meta: null,
        metaError: null,
      };
      await database.jobsets.saveComplete({
        key: { ...key, evaluatorVersion: '1', settings: 's' },
        records: [[{ ...identity, kind: 'derivation', drvPath }]],
        completedAtMs: 1,
      });
      await database.changes.save(judgedChange(`${host}/${name}`, tree));
    };
    await judge('octo/turns', own);
    await judge('octo/stays', shared);
    visibility.told(host, repository('octo/turns', true));
    await visibility.write();
    expect([seen(own), seen(shared)]).toEqual([[`${host}#1`], null]);
    await restart();
    expect([seen(own), seen(shared)]).toEqual([[`${host}#1`], null]);
    await visibility.seen(host, repository('octo/turns', false), visibility.mark());
    expect(seen(own)).toBeNull();
    await restart();
    expect(seen(own)).toBeNull();
  });
});
