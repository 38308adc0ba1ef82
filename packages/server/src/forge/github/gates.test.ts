// Gates on a GitHub that loses answers: whatever happens, one check run of a name, in the state that was wanted.

import { utf8Length } from '@eka-ci/core/change-summary/byte-budget';
import type { CommitSha } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gate, GateAnnotation } from '../gate.ts';
import { checkRunCreation } from './check-run-request.ts';
import { cutMarkdown } from './cut-markdown.ts';
import { putGate } from './gates.ts';
import { type Scripted, type Seen, startScene } from './testing/scripted-github.ts';

const gate = (more: Partial<Gate> = {}): Gate => ({
  name: 'EkaCI: packages',
  headSha: 'a'.repeat(40) as CommitSha,
  externalId: 'job:1:packages',
  state: { kind: 'in-progress', startedAtMs: Date.parse('2026-01-01T00:00:00Z') },
  title: '3 of 5 built',
  summary: 'fine',
  detailsUrl: 'https://ci.example/changes/1',
  ...more,
});
const remarks = (count: number): GateAnnotation[] =>
  Array.from({ length: count }, (_, index) => ({
    path: 'default.nix',
    startLine: index + 1,
    endLine: index,
    level: 'failure',
    message: `line ${index}`,
  }));

interface Run {
  readonly id: number;
  readonly appId: number;
  readonly headSha: string;
  fields: Record<string, unknown>;
  annotations: Record<string, unknown>[];
}

/** Check runs as GitHub keeps them. */
const createCheckRuns = (atUrl: () => string) => {
  const runs: Run[] = [];
  const show = (run: Run) => ({
    id: run.id,
    app: { id: run.appId },
    ...run.fields,
    output: { annotations_count: run.annotations.length },
  });
  const take = (run: Run, body: Record<string, unknown>): Run => {
    const { annotations = [], ...output } = body['output'] as { annotations?: Record<string, unknown>[] };
    run.fields = { ...run.fields, ...body, output };
    run.annotations.push(...annotations);
    return run;
  };
  const make = (appId: number, body: Record<string, unknown>): Run => {
    const run: Run = {
      id: 100 + runs.length,
      appId,
      headSha: String(body['head_sha']),
      fields: {},
      annotations: [],
    };
    runs.push(take(run, body));
    return run;
  };
  const answer = ({ method, path, body }: Seen): Scripted => {
    const url = new URL(path, 'http://x');
    const sent = body as Record<string, unknown>;
    const sha = /\/commits\/(\w+)\/check-runs$/.exec(url.pathname)?.[1];
    if (sha !== undefined) {
      const named = runs.filter(
        (run) => run.headSha === sha && run.fields['name'] === url.searchParams.get('check_name'),
      );
      return { json: { total_count: named.length, check_runs: named.map(show) } };
    }
    if (method === 'POST') return { status: 201, json: show(make(1, sent)) };
    const run = runs.find(({ id }) => id === Number(/check-runs\/(\d+)/.exec(url.pathname)?.[1]));
    if (run === undefined) return { status: 404, json: { message: 'Not Found' } };
    if (method === 'PATCH') return { json: show(take(run, sent)) };
    const from = (Number(url.searchParams.get('page') ?? 1) - 1) * 100;
    const next =
      run.annotations.length > from + 100 ? { link: `<${atUrl()}${path}&page=2>; rel="next"` } : {};
    return {
      json: run.annotations.slice(from, from + 100).map((one) => ({ title: null, ...one })),
      headers: next,
    };
  };
  return { runs, make, answer };
};

/** @param lose which answers never arrive, though what was asked is done */
const start = async (lose: (seen: Seen, before: number) => boolean = () => false) => {
  const state = createCheckRuns(() => scene.github.url);
  const scene = await startScene((seen, before) => {
    const answer = state.answer(seen);
    return lose(seen, before) ? (response) => response.destroy() : answer;
  });
  const target = { client: scene.client, appId: 1, repository: 'o/r' };
  return {
    ...scene,
    ...state,
    put: (one: Gate, knownId: number | null = null) => putGate(target, { gate: one, knownId }),
  };
};

describe('a gate', () => {
  it('is made, and from then on is the same', async () => {
    const { put, runs, github } = await start();
    const id = await put(gate({ state: { kind: 'queued' } }));
    expect(await put(gate())).toBe(id);
    const endedAtMs = Date.parse('2026-01-01T00:01:00Z');
    const state = { kind: 'concluded', conclusion: 'timed-out', startedAtMs: null, endedAtMs } as const;
    expect(await put(gate({ state }), id)).toBe(id);
    expect(runs).toHaveLength(1);
    expect(runs[0]?.fields).toMatchObject({
      name: 'EkaCI: packages',
      head_sha: 'a'.repeat(40),
      external_id: 'job:1:packages',
      status: 'completed',
      conclusion: 'timed_out',
      completed_at: '2026-01-01T00:01:00.000Z',
      details_url: 'https://ci.example/changes/1',
    });
    expect(github.seen.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET', 'PATCH', 'PATCH']);
  });

  it("is nobody else's, and is made again where it is gone", async () => {
    const { put, runs, make } = await start();
    make(2, checkRunCreation(gate(), []));
    expect(await put(gate(), 99)).toBe(101);
    expect(runs.map(({ appId }) => appId)).toEqual([2, 1]);
  });

  it('of another time of the same name is taken over', async () => {
    const { put, make } = await start();
    make(1, checkRunCreation(gate({ externalId: 'old' }), []));
    make(1, checkRunCreation(gate(), []));
    make(1, checkRunCreation(gate({ externalId: 'newer' }), []));
    expect(await put(gate())).toBe(101);
    expect(await put(gate({ externalId: 'none' }))).toBe(102);
  });

  it('is there once, with each remark once, whichever answers are lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(6), { maxLength: 2 }),
        fc.constantFrom(0, 3, 50, 51, 130),
        async (lost, count) => {
          const scene = await start((_, before) => lost.includes(before));
          const wanted = gate({ annotations: remarks(count) });
          await scene.put(wanted);
          await scene.put(wanted);
          expect(scene.runs).toHaveLength(1);
          const kept = scene.runs[0]?.annotations.map((one) => String(one['message'])) ?? [];
          expect(kept.toSorted()).toEqual(
            remarks(count)
              .map(({ message }) => message)
              .toSorted(),
          );
        },
      ),
      { numRuns: 25 },
    );
  });

  it('gives up where no answer ever comes, and says that it may be there', async () => {
    const { put } = await start(({ method }) => method === 'POST');
    await expect(put(gate())).resolves.toBe(100);
    const never = await start(() => true);
    await expect(never.put(gate())).rejects.toMatchObject({ code: 'GITHUB_UNREACHABLE', isMaybeDone: true });
  });
});

describe('its words', () => {
  it('stay within what GitHub takes', () => {
    const anything = fc.string({ unit: 'binary', maxLength: 400 });
    fc.assert(
      fc.property(anything, anything, anything, (name, title, summary) => {
        const actions = [{ identifier: 'approve', label: title, description: summary }];
        const body = checkRunCreation(gate({ name, title, summary: summary.repeat(500), actions }), []);
        expect([...body.name].length).toBeLessThanOrEqual(200);
        expect([...body.output.title].length).toBeLessThanOrEqual(250);
        expect(utf8Length(body.output.summary)).toBeLessThanOrEqual(65_535);
        expect([...(body.actions?.[0]?.label ?? '')].length).toBeLessThanOrEqual(20);
        expect([...(body.actions?.[0]?.description ?? '')].length).toBeLessThanOrEqual(40);
        expect(JSON.stringify(body).isWellFormed()).toBe(true);
      }),
    );
  });

  it('lead nowhere but to the web', () => {
    expect(checkRunCreation(gate({ detailsUrl: 'javascript:alert(1)' }), [])).not.toHaveProperty(
      'details_url',
    );
  });

  it('are refused where a button would be another', () => {
    const action = { identifier: 'x'.repeat(21), label: '', description: '' };
    expect(() => checkRunCreation(gate({ actions: [action] }), [])).toThrow('more than 20 characters');
    const four = Array.from({ length: 4 }, () => ({ ...action, identifier: 'x' }));
    expect(() => checkRunCreation(gate({ actions: four }), [])).toThrow('4 actions');
  });

  it('close what a cut leaves open, and keep what comes before a line without end', () => {
    const fenced = `intro\n<details>\n\n\`\`\`\`\n${'log line\n'.repeat(2000)}`;
    const cut = cutMarkdown(fenced, 1000, '_cut_');
    expect(cut).toMatch(/log line\n````\n\n<\/details>\n\n_cut_$/);
    expect(utf8Length(cut)).toBeLessThanOrEqual(1000);
    const endless = cutMarkdown(`intro\n${'🦀'.repeat(100_000)}\nend`, 20_000, '_cut_');
    expect(endless).toMatch(/^intro\n(?:🦀)+…\n\n_cut_$/u);
    expect(utf8Length(endless)).toBeGreaterThan(7000);
    expect(cutMarkdown('x'.repeat(50_000_000), 65_535, '_cut_').length).toBeLessThan(9000);
  });
});
