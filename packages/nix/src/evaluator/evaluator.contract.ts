// What every evaluator must hold, told on real Nix and a store of its own.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { NixInstallation } from '../installation.ts';
import type { EvaluationLimits, EvaluationRequest, Evaluator } from './evaluator.ts';
import { type Collected, collectEvaluation } from './testing/collect.ts';
import { generateSet } from './testing/generated-set.ts';
import { badSet, drv, endless, hostileSet, packageSet } from './testing/package-sets.ts';
import { makeTemporaryStore, type TemporaryStore } from './testing/temporary-store.ts';

const containing = (text: string): unknown => expect.stringContaining(text);
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

const limits: EvaluationLimits = { workers: 2, maxMemoryMib: 1024, timeoutMs: 60_000 };

export interface EvaluatorUnderTest {
  readonly evaluator: Evaluator;
  /** Ends what was made for it. */
  remove(): Promise<void>;
}

export interface UnderTest {
  readonly make: (nix: NixInstallation) => Evaluator | Promise<EvaluatorUnderTest>;
  /** Of its own to the store. @default writes it itself */
  readonly daemon?: boolean;
  /**
   * It only carries what another driver does, which holds all of this: left out then is what of that driver is asked over and
   * over. @default false
   */
  readonly isCarrier?: boolean;
}

export const describeEvaluator = (
  name: string,
  { make, daemon = false, isCarrier = false }: UnderTest,
): void => {
  describe(`evaluator ${name}`, () => {
    let store: TemporaryStore;
    let evaluator: Evaluator;
    let remove: EvaluatorUnderTest['remove'] | undefined;

    beforeAll(async () => {
      store = await makeTemporaryStore({ daemon });
      const made = await make(store.nix);
      if ('remove' in made) ({ evaluator, remove } = made);
      else evaluator = made;
    });
    afterAll(async () => {
      await remove?.();
      await store.remove();
    });

    const requestFor = (tree: string, more: Partial<EvaluationRequest> = {}): EvaluationRequest => ({
      tree,
      target: { kind: 'file', file: 'default.nix', attrPath: [] },
      limits,
      allowImportFromDerivation: false,
      allowNetwork: false,
      sandbox: 'preferred',
      rootsDir: join(store.folder, 'roots'),
      ...more,
    });
    const evaluateTree = (tree: string, more: Partial<EvaluationRequest> = {}): Promise<Collected> =>
      collectEvaluation(evaluator, requestFor(tree, more));
    const evaluateText = async (text: string, more: Partial<EvaluationRequest> = {}): Promise<Collected> =>
      evaluateTree(await store.tree({ 'default.nix': text }), more);

    const named = ({ records }: Collected, attr: string): EvaluationRecord | undefined =>
      records.find((record) => record.attr === attr);
    const attrs = ({ records }: Collected): string[] => records.map((record) => record.attr).toSorted();
    const failures = ({ records }: Collected) =>
      records.flatMap((record) => (record.kind === 'failed' ? [[record.attr, record.failure] as const] : []));

    describe('a package set', () => {
      let seen: Collected;
      beforeAll(async () => {
        seen = await evaluateText(packageSet);
      });

      it('gives one record an attribute and ends complete', () => {
        expect(seen.end).toMatchObject({ kind: 'complete', records: seen.records.length });
        expect(attrs(seen)).toEqual(
          [
            '"a.b"',
            '"line\\nbreak"',
            '"quo\\"te"',
            '"\\${dollar}"',
            '"über"',
            '"with"',
            'hello',
            'lying',
            'refuses.broken',
            'refuses.insecure',
            'refuses.unfree',
            'refuses.unsupported',
            'sub.deeper.inner',
            'sub.x',
            'traced',
            'two',
          ].toSorted(),
        );
      });

      it('tells what a derivation is from its file', () => {
        const two = named(seen, 'two');
        expect(two).toMatchObject({
          kind: 'derivation',
          name: 'two-2.0',
          system: 'x86_64-linux',
          metaError: null,
        });
        if (two?.kind !== 'derivation') throw new Error('two is no derivation');
        expect(Object.keys(two.outputs)).toEqual(['dev', 'out']);
        const file = readFileSync(two.drvPath, 'utf8');
        for (const path of Object.values(two.outputs)) expect(file).toContain(`"${path}"`);
      });

      it('is not told another output, name or system by the evaluated code', () => {
        const lying = named(seen, 'lying');
        expect(lying).toMatchObject({ name: 'lying-1', system: 'x86_64-linux' });
        expect(JSON.stringify(lying)).not.toContain('elsewhere');
      });

      it('cleans meta', () => {
        expect(named(seen, 'hello')).toMatchObject({
          meta: {
            pname: 'hello',
            version: '1.0',
            position: 'pkgs/hello.nix:7',
            licenses: ['MIT', 'custom', 'Apache License', 'own words'],
            maintainers: ['ada', 'Grace', 'x@example.org', 'plain'],
            maintainerIds: [42],
            broken: false,
            insecure: false,
            unfree: false,
            unsupported: false,
          },
        });
      });

      it('names why a package refuses', () => {
        const reasons = ['broken', 'insecure', 'unfree', 'unsupported'];
        for (const reason of reasons) {
          expect(named(seen, `refuses.${reason}`)).toMatchObject({ kind: 'unavailable', reasons: [reason] });
        }
      });

      it('passes on what the code traces, without colours', () => {
        expect(seen.logs.join('\n')).toContain('hello from the code\nsecond line');
      });

      it('keeps every derivation through a garbage collection, until the roots are gone', async () => {
        const drvs = seen.records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : []));
        const collect = () =>
          runChild({ command: store.nix.programs.store, args: ['--gc'], env: store.nix.env });
        expect((await collect()).code).toBe(0);
        expect(drvs.filter((drv) => !existsSync(drv))).toEqual([]);
      });
    });

    const unlessCarried = (tell: () => void): void => {
      if (!isCarrier) tell();
    };

    unlessCarried(() =>
      describe('a set that fails in every way', () => {
        let seen: Collected;
        beforeAll(async () => {
          seen = await evaluateTree(
            await store.tree({ 'default.nix': badSet, 'broken.nix': '{ a = 1 +; }\n' }),
          );
        });

        it('ends complete, with the good ones', () => {
          expect(seen.end.kind).toBe('complete');
          expect(named(seen, 'good')?.kind).toBe('derivation');
          expect(named(seen, 'last')?.kind).toBe('derivation');
        });

        it.each([
          ['throws', 'throw', /^a throw: ünïcode$/],
          ['throwsLate', 'throw', /^in an argument$/],
          ['lies', 'throw', /^infinite recursion encountered$/],
          ['asserts', 'assertion', /^assertion '.*1 == 2.*' failed/],
          ['aborts', 'abort', /an abort/],
          ['misses', 'missing-attribute', /^attribute 'foo' missing/],
          ['recurses', 'infinite-recursion', /^infinite recursion encountered/],
          ['overflows', 'stack-overflow', /^stack overflow/],
          ['types', 'type', /string.*integer|integer.*string/],
          ['calls', 'type', /called without required argument 'needed'/],
          ['syntax', 'syntax', /^syntax error/],
          ['imports', 'other', /missing\.nix/],
          ['builds', 'import-from-derivation', /allow-import-from-derivation/],
          ['fetches', 'network', /evaluation has no network/],
          ['fakes', 'other', /drvPath/],
          ['floats', 'other', /^__contentAddressed is not supported: .*'ca-derivations' is disabled\)/],
        ])('%s is named as %s, with message and position', (attr, kind, message) => {
          const record = named(seen, attr);
          if (record?.kind !== 'failed') throw new Error(`${attr} did not fail: ${JSON.stringify(record)}`);
          expect(record.failure).toMatchObject({ kind, message: matching(message) });
          const line = badSet.split('\n').findIndex((text) => text.startsWith(`  ${attr} =`)) + 1;
          const inFile = attr === 'syntax' ? { file: 'broken.nix', line: 1 } : { file: 'default.nix', line };
          if (attr !== 'fakes') expect(record.failure.position).toMatchObject(inFile);
          expect(record.failure.message).not.toMatch(/tree-\d+|\/build\/source/);
        });

        it('keeps the derivation whose meta cannot be read', () => {
          for (const attr of ['metaAborts', 'metaThrows']) {
            expect(named(seen, attr)).toMatchObject({
              kind: 'derivation',
              meta: null,
              metaError: containing('in meta'),
            });
          }
          expect(named(seen, 'metaPartly')).toMatchObject({
            meta: { licenses: ['MIT'], maintainers: [], maintainerIds: [] },
          });
        });
      }),
    );

    describe('a hostile repository', () => {
      let seen: Collected;
      let secret: string;
      beforeAll(async () => {
        process.env['EKA_CI_CANARY'] = 'canary-in-the-environment';
        const { confDir, programs, env } = store.nix;
        const others = join(await store.tree({ 'of-others': 'secret' }), 'of-others');
        const added = await runChild({ command: programs.store, args: ['--add', others], env });
        secret = added.stdout.trim();
        expect(secret).toContain('-of-others');
        const files = { 'default.nix': hostileSet({ confDir, secret }), 'more.nix': drv('own') };
        seen = await evaluateTree(await store.tree(files));
      });
      afterAll(() => {
        delete process.env['EKA_CI_CANARY'];
      });

      it('cannot forge a record', () => {
        expect(attrs(seen)).toEqual(['beside', 'honest', 'lists', 'own', 'probe', 'reads']);
        expect(named(seen, 'honest')).toMatchObject({ kind: 'derivation', name: 'honest' });
        expect(seen.end.kind).toBe('complete');
      });

      it('reads neither the environment nor configuration nor other processes', () => {
        const probe = named(seen, 'probe');
        const said = `${JSON.stringify(probe)}${seen.logs.join('\n')}`;
        expect(said).toContain('probed');
        expect(said).not.toContain('canary');
        const confined = seen.warnings.length === 0;
        // 2.26 lists what the evaluation itself made.
        expect(said).not.toContain('of-others');
        const forbidden = { kind: 'failed', failure: { message: containing('forbidden') } };
        expect(named(seen, 'reads')).toMatchObject(forbidden);
        expect(named(seen, 'own')).toMatchObject({ kind: 'derivation' });
        // As nixpkgs' lib does it for Nix before 2.14: `lib.fileset.toSource { root = ./.; }`.
        if (confined) expect(named(seen, 'beside')).toMatchObject({ kind: 'derivation' });
        if (confined) expect(said).toContain('conf=false etc=false home=false shadow=false');
      });

      it('cannot fill our memory with its log', async () => {
        const flood = await evaluateText(
          'builtins.foldl\' (a: i: builtins.trace "line ${toString i}" a) { } (builtins.genList (i: i) 20000)',
        );
        expect(flood.end).toMatchObject({ kind: 'complete', records: 0 });
        expect(flood.logs.length).toBeLessThanOrEqual(5000);
        expect(flood.warnings.join()).toContain('5000 lines');
      });
    });

    unlessCarried(() =>
      describe('the root', () => {
        it.each([
          [
            'a syntax error',
            '{\n  a = ;\n}\n',
            { kind: 'syntax', position: { file: 'default.nix', line: 2 } },
          ],
          ['a throw', '\nthrow "no root"', { kind: 'throw', message: 'no root' }],
          ['a list', '[ ]', { kind: 'type', message: containing('list') }],
          ['a string', '"x"', { kind: 'type', message: containing('string') }],
          ['a function that wants more', '{ pkgs }: { }', { kind: 'type' }],
        ])('%s fails the evaluation', async (_what, text, failure) => {
          expect((await evaluateText(text)).end).toMatchObject({ kind: 'failed', failure });
        });

        it('a missing file fails the evaluation', async () => {
          const target = { kind: 'file', file: 'gone/release.nix', attrPath: [] } as const;
          const seen = await evaluateText('{ }', { target });
          expect(seen.end).toMatchObject({
            kind: 'failed',
            failure: { message: containing('gone/release.nix') },
          });
        });

        it('an attribute path is followed, functions on it are called', async () => {
          const text = `{ x ? 1 }: { ci = { }: { "a.b" = { p = ${drv('p')}; }; }; }`;
          const at = (attrPath: string[]) =>
            evaluateText(text, { target: { kind: 'file', file: './default.nix', attrPath } });
          expect(attrs(await at(['ci', 'a.b']))).toEqual(['p']);
          expect(attrs(await at(['ci', 'a.b', 'p']))).toEqual(['p']);
          expect((await at(['ci', 'z'])).end).toMatchObject({
            kind: 'failed',
            failure: { kind: 'missing-attribute', message: containing("'z'") },
          });
        });

        it('no attributes are no records', async () => {
          const seen = await evaluateText('{ }');
          expect(seen.end).toMatchObject({ kind: 'complete', records: 0 });
        });
      }),
    );

    it('the same tree in two places gives equal derivations', async () => {
      const files = {
        'default.nix': `{ p = ${drv('p', 'src = ./.; dep = ./sub; text = "${./default.nix}";')}; }`,
        'sub/x': 'x',
      };
      const [one, other] = [await store.tree(files), await store.tree(files)];
      const [a, b] = [await evaluateTree(one), await evaluateTree(other)];
      expect(a.records).toHaveLength(1);
      expect(b.records).toEqual(a.records);
    });

    describe('bounds', () => {
      const boundsOfOne = (): void => {
        it('one attribute that eats all memory fails; the others do not', async () => {
          const seen = await evaluateText(
            `let eat = builtins.foldl' (a: i: a ++ builtins.genList (x: { inherit x i; }) 200000) [ ] (builtins.genList (i: i) 200); in { a = ${drv('a')};\n eats = builtins.deepSeq eat 1;\n z = ${drv('z')}; }`,
            { limits: { ...limits, maxMemoryMib: 200 } },
          );
          expect(seen.end.kind).toBe('complete');
          expect(attrs(seen)).toEqual(['a', 'eats', 'z']);
          expect(named(seen, 'eats')).toMatchObject({
            failure: {
              kind: 'out-of-memory',
              message: matching(/used \d+ MiB.* 200 MiB/),
              position: { line: 2 },
            },
          });
        });

        it('an endless attribute fails; the others do not', async () => {
          const seen = await evaluateText(`{ a = ${drv('a')};\n endless = ${endless};\n z = ${drv('z')}; }`, {
            limits: { ...limits, attributeTimeoutMs: 500 },
          });
          expect(attrs(seen)).toEqual(['a', 'endless', 'z']);
          expect(named(seen, 'endless')).toMatchObject({
            failure: { kind: 'timeout', position: { line: 2 } },
          });
        });
      };
      unlessCarried(boundsOfOne);

      it('an evaluation that takes too long is no jobset', async () => {
        const seen = await evaluateText(`{ endless = ${endless}; }`, {
          limits: { ...limits, timeoutMs: 800 },
        });
        expect(seen.end).toMatchObject({ kind: 'failed', failure: { kind: 'timeout' } });
      });
    });

    describe('its processes', () => {
      const running = async (text: string): Promise<string[]> => {
        const tree = await store.tree({ 'default.nix': text });
        return [tree];
      };
      /** Processes that hold this store open in their environment. */
      const processes = (): number[] =>
        readdirSync('/proc').flatMap((pid) => {
          try {
            if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
            const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
            const inStore = readFileSync(`/proc/${pid}/environ`, 'utf8').includes(store.folder);
            return inStore && command.includes('nix-instantiate') ? [Number(pid)] : [];
          } catch {
            return []; // It has gone, or is not ours.
          }
        });
      /** Of one that is in the endless attribute: the others end in less. */
      const cpuSeconds = (pid: number): number => {
        try {
          const [user = '0', system = '0'] =
            readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ').slice(11) ?? [];
          return (Number(user) + Number(system)) / 100;
        } catch {
          return 0; // It has gone.
        }
      };
      const slow = `{ a = ${drv('a')}; b = ${endless}; c = ${endless}; }`;

      it('end when the caller aborts', async () => {
        const [tree = ''] = await running(slow);
        const controller = new AbortController();
        const collected = collectEvaluation(evaluator, requestFor(tree), {
          signal: controller.signal,
          onEvent: (event) => event.type === 'record' && controller.abort(),
        });
        await expect(collected).rejects.toThrow(/abort/i);
        // What is in the sandbox goes with it, a moment later where the machine is busy.
        await vi.waitFor(() => expect(processes()).toEqual([]));
      });

      it('end when the caller stops reading', async () => {
        const [tree = ''] = await running(slow);
        for await (const event of evaluator.evaluate(requestFor(tree), new AbortController().signal)) {
          if (event.type === 'record') break;
        }
        await vi.waitFor(() => expect(processes()).toEqual([]));
      });

      const killedByOthers = async (): Promise<void> => {
        const [tree = ''] = await running(slow.replace(`c = ${endless};`, `c = ${drv('c')};`));
        const killer = setInterval(() => {
          for (const pid of processes()) {
            if (cpuSeconds(pid) > 0.3) process.kill(pid, 'SIGKILL');
          }
        }, 50);
        const seen = await evaluateTree(tree).finally(() => clearInterval(killer));
        expect(seen.end.kind).toBe('complete');
        expect(attrs(seen)).toEqual(['a', 'b', 'c']);
        expect(named(seen, 'b')).toMatchObject({ failure: { kind: 'killed' } });
      };
      unlessCarried(() =>
        it('may be killed by others: what was in hand is tried again, then named', killedByOthers),
      );
    });

    const manyFailing = async (): Promise<void> => {
      const set = generateSet(2000, 40);
      const seen = await evaluateText(set.text);
      expect(seen.end).toMatchObject({ kind: 'complete', records: 2000 });
      const found = failures(seen);
      expect(found.map(([attr]) => attr).toSorted()).toEqual([...set.failing.keys()]);
      for (const [attr, failure] of found) {
        const expected = set.failing.get(attr);
        expect(failure.message).toContain(expected?.message);
        expect(failure.position).toMatchObject({ file: 'default.nix', line: expected?.line });
      }
      expect(new Set(seen.records.map((record) => record.attr)).size).toBe(2000);
    };
    unlessCarried(() =>
      it('names all 40 of 2,000 attributes that fail so that no tryEval helps', manyFailing),
    );

    unlessCarried(() =>
      it('evaluates a flake outputs by system', async () => {
        const flake = `{ outputs = { self }: {
        packages.x86_64-linux = { default = ${drv('p', 'src = self; rev = self.rev or "none"; at = toString (self.lastModified or 0);')}; };
        packages.aarch64-linux.other = ${drv('q')};
        packages.riscv64-linux.unasked = ${drv('r')};
        checks.x86_64-linux.fails = throw "in the flake";
      }; }`;
        const tree = await store.tree({ 'flake.nix': flake });
        const rev = 'a'.repeat(40);
        const target = {
          kind: 'flake',
          systems: ['x86_64-linux', 'aarch64-linux'],
          rev,
          lastModified: 1_700_000_000,
        } as const;
        const packages = await evaluateTree(tree, { target: { ...target, output: 'packages' } });
        expect(packages.end).toMatchObject({ kind: 'complete' });
        expect(attrs(packages)).toEqual(['aarch64-linux.other', 'x86_64-linux.default']);
        const [main] = packages.records.filter((record) => record.attr === 'x86_64-linux.default');
        if (main?.kind !== 'derivation') throw new Error(JSON.stringify(packages));
        expect(main.attrPath).toEqual(['x86_64-linux', 'default']);
        expect(readFileSync(main.drvPath, 'utf8')).toContain(rev);
        const checks = await evaluateTree(tree, { target: { ...target, output: 'checks' } });
        expect(failures(checks)).toMatchObject([
          [
            'x86_64-linux.fails',
            { kind: 'throw', message: 'in the flake', position: { file: 'flake.nix', line: 5 } },
          ],
        ]);
      }),
    );
  });
};
