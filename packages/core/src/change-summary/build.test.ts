import { describe, expect, it } from 'vitest';
import { exampleSummary } from '../testing/example-summary.ts';
import { buildChangeSummary } from './build.ts';
import { formatReproduction } from './reproduce.ts';

describe('buildChangeSummary', () => {
  it('answers, names the culprit and gives its log and a command', () => {
    const summary = exampleSummary();
    expect([summary.conclusion, summary.headline]).toEqual([
      'failure',
      'Do not merge. 2 packages newly fail to build and 1 attribute does not evaluate any more.',
    ]);
    const wget = summary.jobs[0]?.outcomes.find(({ attr }) => attr === 'wget');
    expect(wget).toMatchObject({
      kind: 'newly-failing',
      base: 'succeeded',
      culprit: { name: 'nginx-1.27', attr: 'nginx' },
      reproduce: 'nix-build ./default.nix -A wget',
    });
    expect(wget?.logTail).toHaveLength(3);
    expect(wget).not.toHaveProperty('position');
    expect(summary.jobs[0]?.file).toBe('default.nix');
    expect(summary.jobs[0]?.outcomes.find(({ attr }) => attr === 'nginx')).toMatchObject({
      position: { file: 'pkgs/nginx.nix', line: 9 },
    });
  });

  it('says why each package rebuilds and which ones were edited', () => {
    const changes = exampleSummary().jobs[0]?.packageChanges ?? [];
    expect(changes.find(({ attr }) => attr === 'git')?.why).toEqual([
      'git-2.47',
      'openssl-3.6.0',
      'opensslSrc',
    ]);
    expect(changes.filter(({ edited }) => edited).map(({ attr }) => attr)).toEqual(['openssl']);
    expect(changes.find(({ attr }) => attr === 'oldTool')?.why).toBeNull();
  });

  it('measures sizes by output, by name of reference, and against the limit', () => {
    const sizes = exampleSummary().jobs[0]?.sizes;
    expect(sizes?.breaches).toBe(3);
    expect(sizes?.comparisons[0]).toMatchObject({
      attr: 'curl',
      output: 'out',
      nar: { differenceBytes: 3 * 1024 ** 2, differencePercent: 50 },
      gainedReferences: ['openssl-3.6.0'],
      lostReferences: ['openssl-3.5.0'],
      breached: true,
    });
  });

  it('is plain data, the same every time', () => {
    const summary = exampleSummary();
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
    expect(JSON.stringify(exampleSummary())).toBe(JSON.stringify(summary));
  });

  it('concludes by the worst job, also where none got as far as a plan', () => {
    const job = (conclusion: 'success' | 'failure' | 'pending', reason: string) =>
      ({ kind: 'not-judged', job: reason, conclusion, reason, notices: [] }) as const;
    const { change } = exampleSummary();
    const jobs = [
      job('success', 'docs only'),
      job('pending', 'evaluating'),
      job('failure', 'merge conflict'),
    ];
    const summary = buildChangeSummary({ change, jobs, notices: [] });
    expect(summary.headline).toBe('Do not merge. It could not be evaluated. 1 of 3 jobs is in this state.');
    expect(buildChangeSummary({ change, jobs: [], notices: [] }).conclusion).toBe('success');
  });
});

describe('formatReproduction', () => {
  it('gives commands that are safe to paste', () => {
    const file = { kind: 'file', file: '-x.nix', attrPath: 'sub' } as const;
    expect(formatReproduction(file, `a'; rm -rf ~`, false)).toBe(
      `nix-build ./-x.nix -A 'sub.a'\\''; rm -rf ~'`,
    );
    expect(formatReproduction({ kind: 'flake', output: 'packages' }, 'x86_64-linux."a.b"', false)).toBe(
      `nix build -L '.#packages.x86_64-linux."a.b"'`,
    );
    expect(formatReproduction(file, 'a\u202eb', false)).toBeNull();
    expect(formatReproduction(file, 'a\nb', true)).toBeNull();
  });
});
