import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { groupReasons, type QueueAnswer, queueText, reasonOf } from './queue-text.ts';

const waiting = (name: string, why: string | null) => ({ drvPath: `/nix/store/${name}.drv`, name, why });

const answer: QueueAnswer = {
  builders: [
    {
      name: 'local',
      isLocal: true,
      systems: ['x86_64-linux'],
      features: [],
      mandatoryFeatures: [],
      speed: 1,
      slots: { build: 2, fixedOutput: 8 },
      running: { build: 1, fixedOutput: 0 },
      outage: null,
    },
    {
      name: 'ssh://far',
      isLocal: false,
      systems: ['aarch64-linux'],
      features: [],
      mandatoryFeatures: [],
      speed: 2,
      slots: { build: 4, fixedOutput: 0 },
      running: { build: 0, fixedOutput: 0 },
      outage: { reason: 'it does not answer: \u001b[2Jtimed out', retryAtMs: 12_000 },
    },
  ],
  active: [
    {
      drvPath: '/nix/store/a.drv',
      name: 'a',
      system: 'x86_64-linux',
      attempt: 1,
      builder: 'local',
      phase: '你好',
      startedAtMs: 0,
      elapsedMs: 61_000,
      expectedMs: 120_000,
      why: null,
    },
  ],
  queued: {
    total: 200_000,
    builds: [
      waiting('b', 'b waits for a free slot (2 for builds).'),
      waiting('c', 'c waits for a, which local is building.'),
      waiting('d', 'd waits for a free slot (2 for builds).'),
      waiting('e', null),
    ],
    nextCursor: null,
  },
};

it('tells builders with what keeps them out, what runs, and what waits by its reason', () => {
  expect(queueText(answer, { isListed: false, nowMs: 2000 }).split('\n')).toEqual([
    'BUILDER    BUILDS  FETCHES',
    'local      1 of 2  0 of 8   up',
    'ssh://far  0 of 4           out: it does not answer: \\x1b[2Jtimed out; asked again in 10.0s',
    '',
    'RUNNING  PHASE  FOR',
    'a        你好   1m of ~2m  on local',
    '',
    'WAITING  BUILDS',
    '2        b, …    waits for a free slot (2 for builds)',
    '1        c       waits for a, which local is building',
    '1        e       not looked for: "ekaci drv why" tells',
    'and 199996 builds more that wait',
    '',
  ]);
  const listed = queueText(answer, { isListed: true, nowMs: 2000 });
  expect(listed).toContain('\nBUILD  WAITS\nb      waits for a free slot (2 for builds)\n');
});

it('groups every build once, whatever its reason says', () => {
  const build = fc
    .record({
      name: fc.constantFrom('a', 'b', 'a b'),
      why: fc.option(fc.constantFrom('a waits.', 'a b c.', '', 'b waits.')),
    })
    .map(({ name, why }) => waiting(name, why));
  fc.assert(
    fc.property(fc.array(build), (builds) => {
      const groups = groupReasons(builds);
      expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(builds.length);
      expect(new Set(groups.map(({ reason }) => reason))).toEqual(new Set(builds.map(reasonOf)));
      const counts = groups.map(({ count }) => count);
      expect(counts).toEqual(counts.toSorted((a, b) => b - a));
    }),
  );
});
