// What is on the screen, whatever happens, in whatever order, on whatever screen.
import type { LiveEvent } from '@eka-ci/protocol/live';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Key, parseKeys } from './keys.ts';
import { nextWatchState } from './next-state.ts';
import { changedText } from './screen.ts';
import { lineCells, paintLine } from './styled-line.ts';
import {
  chosenIndex,
  initialWatchState,
  logLinesKept,
  rowKeys,
  type ServerFacts,
  type WatchEvent,
  type WatchState,
} from './watch-state.ts';
import { watchLines } from './watch-view.ts';

const drv = (name: string): string => `/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-${name}.drv`;

const facts = (more: Partial<ServerFacts> = {}): ServerFacts => ({
  active: [],
  queue: { total: 0, builds: [] },
  builders: [],
  open: { counts: { queued: 0, judging: 0 }, changes: [] },
  status: { draining: false, ready: true, warnings: [] },
  ...more,
});

const active = (
  name: string,
  more: Partial<ServerFacts['active'][number]> = {},
): ServerFacts['active'][number] => ({
  drvPath: drv(name),
  name,
  system: 'x86_64-linux',
  attempt: 1,
  builder: 'local',
  phase: 'buildPhase',
  startedAtMs: 0,
  elapsedMs: 5000,
  expectedMs: null,
  why: null,
  ...more,
});

const builder = (
  name: string,
  more: Partial<ServerFacts['builders'][number]> = {},
): ServerFacts['builders'][number] => ({
  name,
  isLocal: false,
  systems: ['x86_64-linux'],
  features: [],
  mandatoryFeatures: [],
  speed: 1,
  slots: { build: 4, fixedOutput: 8 },
  running: { build: 1, fixedOutput: 0 },
  outage: null,
  ...more,
});

const change = (
  id: string,
  more: Partial<ServerFacts['open']['changes'][number]> = {},
): ServerFacts['open']['changes'][number] => ({
  id,
  kind: 'branch',
  repository: 'me/packages',
  number: 7,
  branch: id,
  baseBranch: null,
  title: '',
  state: 'judging',
  baseSha: null,
  headSha: 'a'.repeat(40),
  judgedTree: null,
  conclusion: null,
  fault: null,
  retryAtMs: null,
  approved: false,
  createdAtMs: 0,
  updatedAtMs: 0,
  progress: { stage: 'building', finished: 12, total: 40, failed: 1, etaSeconds: 90 },
  ...more,
});

const failed = (
  name: string,
  to = 'failed',
  cause: 'builder-exit' | 'cancelled' | null = 'builder-exit',
): LiveEvent => ({
  type: 'build_state_change',
  drvPath: drv(name),
  attempt: 1,
  from: 'building',
  to,
  cause,
  message: 'exit 2',
  atMs: 0,
});

const start = (columns = 80, rows = 24): WatchState =>
  initialWatchState('/run/eka-ci/ekaci.socket', { columns, rows, nowMs: 1000 });
const after = (state: WatchState, ...events: readonly WatchEvent[]): WatchState =>
  events.reduce(nextWatchState, state);
const live = (event: LiveEvent, nowMs = 2000): WatchEvent => ({ type: 'live', event, nowMs });
const answered = (more: Partial<ServerFacts>, nowMs = 2000): WatchEvent => ({
  type: 'answered',
  facts: facts(more),
  nowMs,
});
const pressed = (...keys: readonly Key[]): WatchEvent[] => keys.map((key) => ({ type: 'key', key }));
const textOf = (state: WatchState, unicode = true): string[] =>
  watchLines(state, { unicode }).map((line) =>
    line
      .map(({ text }) => text)
      .join('')
      .trimEnd(),
  );

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.constantFrom(
    '\u001b[2J\u001b[1;1H',
    '你好'.repeat(40),
    '👩‍👩‍👧🇨🇭',
    'x'.repeat(5000),
    '',
    '\n\r\t',
    '__proto__',
  ),
);
const count = fc.nat({ max: 1_000_000 });
const anyFacts: fc.Arbitrary<ServerFacts> = fc.record({
  active: fc.array(
    fc
      .record({
        name: hostile,
        phase: fc.option(hostile),
        builder: hostile,
        elapsedMs: count,
        expectedMs: fc.option(count),
      })
      .map(({ name, ...more }) => active(name, more)),
    { maxLength: 12 },
  ),
  queue: fc.record({
    total: count,
    builds: fc.array(fc.record({ drvPath: hostile, name: hostile, why: fc.option(hostile) }), {
      maxLength: 12,
    }),
  }),
  builders: fc.array(
    fc
      .record({ name: hostile, outage: fc.option(fc.record({ reason: hostile, retryAtMs: count })) })
      .map(({ name, outage }) => builder(name, { outage })),
    { maxLength: 6 },
  ),
  open: fc.record({
    counts: fc.record({ queued: count, judging: count }),
    changes: fc.array(
      fc
        .record({
          id: hostile,
          branch: hostile,
          fault: fc.option(hostile),
          title: hostile,
          updatedAtMs: fc.double({ noNaN: true }),
        })
        .map(({ id, ...more }) => change(id, more)),
      { maxLength: 8 },
    ),
  }),
  status: fc.record({
    draining: fc.boolean(),
    ready: fc.boolean(),
    warnings: fc.array(hostile, { maxLength: 2 }),
  }),
});
const keys: readonly Key[] = [
  'quit',
  'up',
  'down',
  'page-up',
  'page-down',
  'first',
  'last',
  'next-pane',
  'previous-pane',
  'open',
  'back',
  'help',
];
const anyEvent: fc.Arbitrary<WatchEvent> = fc.oneof(
  fc.record({ type: fc.constant('answered' as const), facts: anyFacts, nowMs: count }),
  fc.record({
    type: fc.constantFrom('unanswered' as const, 'subscribed' as const, 'lost' as const, 'passed' as const),
    nowMs: count,
  }),
  fc
    .record({
      name: hostile,
      to: fc.constantFrom('failed', 'succeeded', 'interrupted', 'queued'),
      nowMs: count,
    })
    .map(({ name, to, nowMs }) => live(failed(name, to), nowMs)),
  fc.record({
    type: fc.constant('resized' as const),
    columns: fc.nat({ max: 220 }),
    rows: fc.nat({ max: 70 }),
  }),
  fc.record({ type: fc.constant('key' as const), key: fc.constantFrom(...keys) }),
  fc.record({
    type: fc.constant('log' as const),
    drvPath: fc.constant(drv('a')),
    lines: fc.array(hostile, { maxLength: 5 }),
    leftOut: fc.constant(0),
  }),
);

describe('the screen', () => {
  it('has as many lines as rows, none wider than it is, and nothing in them that moves it: whatever happens', () => {
    const size = fc.record({
      columns: fc.integer({ min: 1, max: 220 }),
      rows: fc.integer({ min: 1, max: 70 }),
    });
    fc.assert(
      fc.property(size, fc.array(anyEvent, { maxLength: 12 }), fc.boolean(), (at, events, unicode) => {
        let state = start(at.columns, at.rows);
        for (const event of events) state = nextWatchState(state, event);
        const lines = watchLines(state, { unicode });
        expect(lines).toHaveLength(state.rows);
        for (const line of lines) {
          expect(lineCells(line)).toBeLessThanOrEqual(state.columns);
          const text = line.map((piece) => piece.text).join('');
          expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
          if (!unicode) expect(text).toMatch(/^[ -~]*$/);
        }
        for (const pane of ['builders', 'running', 'queue', 'changes', 'failures'] as const) {
          const many = rowKeys(state, pane).length;
          expect(chosenIndex(state, pane)).toBeLessThan(Math.max(1, many));
        }
      }),
      { numRuns: 400 },
    );
  });

  const busy = (columns: number, rows: number): WatchState =>
    after(
      start(columns, rows),
      { type: 'subscribed', nowMs: 1000 },
      answered({
        builders: [
          builder('local', { isLocal: true }),
          builder('ssh://far', { outage: { reason: 'it does not answer: timed out', retryAtMs: 32_000 } }),
        ],
        active: [
          active('gcc-14', { expectedMs: 600_000, elapsedMs: 61_000 }),
          active('zlib\u001b[2J', { phase: null }),
        ],
        queue: {
          total: 200_000,
          builds: [{ drvPath: drv('b'), name: 'b', why: 'b waits for gcc-14, which local is building.' }],
        },
        open: { counts: { judging: 1, queued: 3 }, changes: [change('bump')] },
      }),
      live(failed('broken-1.0')),
    );

  it('tells builders, builds, the queue with reasons, changes and failures', () => {
    const rule = (title: string): string => `─ ${title} `.padEnd(79, '─');
    expect(textOf(busy(80, 24))).toEqual([
      'EkaCI /run/eka-ci/ekaci.socket                                            ● live',
      rule('Builders 2, 1 out'),
      '  ○  ssh://far  1/4 builds  0/8 fetches  out: it does not answer: timed out; as…',
      '  ●  local      1/4 builds  0/8 fetches  x86_64-linux',
      rule('Running 2'),
      '> gcc-14       1m01s  of ~10m00s  buildPhase  local  x86_64-linux',
      '  zlib\\x1b[2J  5s                             local  x86_64-linux',
      '',
      '',
      '',
      '',
      '',
      rule('Queue 200,000'),
      '  b  waits for gcc-14, which local is building',
      '  and 199999 more',
      '',
      rule('Changes 1, 3 wait'),
      '  me/packages #7 bump  building  12/40 builds, 1 not succeeded  ~1m30s left',
      '  and 3 more',
      '',
      rule('Failures 1'),
      '  0s ago  broken-1.0  failed (builder-exit): exit 2',
      '',
      'q quit  ? help  tab pane  up/down move  enter open',
    ]);
  });

  it('shows one pane of a small terminal, and two columns of a wide one', () => {
    const small = textOf(after(busy(40, 12), ...pressed('next-pane', 'next-pane')), false);
    expect(small[1]).toBe(' bu  ru  qu  Changes 1, 3 wait  fa');
    expect(small[2]).toBe('> me/packages #7 bump  building');
    const wide = textOf(busy(200, 60));
    expect(wide[1]).toMatch(/^─ Builders 2, 1 out ─+ +│ ─ Changes 1, 3 wait ─+$/);
  });

  it('paints no colour where none is wanted, and ends every tone', () => {
    const lines = watchLines(busy(80, 24), { unicode: true });
    const plain = lines.map((line) => paintLine(line, false)).join('\n');
    expect(plain).not.toMatch(/\u001b\[3\d/);
    for (const line of lines.map((one) => paintLine(one, true))) {
      expect(line.split('\u001b[0m')).toHaveLength(line.split(/\u001b\[[1-9]\d?m/).length);
    }
  });

  it('says how the connection is', () => {
    const lost = after(busy(80, 24), { type: 'lost', nowMs: 3000 }, { type: 'passed', nowMs: 15_000 });
    expect(textOf(lost)[0]).toMatch(/ ○ reconnecting for 12s$/);
    const silent = after(busy(80, 24), { type: 'unanswered', nowMs: 9000 });
    expect(textOf(silent)[0]).toMatch(/ ○ no answer for 7s$/);
    const slow = after(busy(80, 24), { type: 'passed', nowMs: 9000 });
    expect(textOf(slow)[0]).toMatch(/ ○ as of 7s ago$/);
    expect(textOf(after(lost, { type: 'subscribed', nowMs: 16_000 }, answered({}, 16_000)))[0]).toMatch(
      / ● live$/,
    );
    const missed = after(busy(80, 24), live({ type: 'skipped', events: 12 }));
    expect(textOf(missed)[1]).toBe('12 events came too fast: failures may be missing');
    expect(after(missed, { type: 'passed', nowMs: 2001 + 15 * 60_000 }).leftOut).toBeNull();
    const draining = answered({ status: { draining: true, ready: true, warnings: ['the disk is full'] } });
    expect(textOf(after(start(), draining))[1]).toBe(
      'nothing begins: the disk is full; the server drains: nothing begins any more',
    );
  });
});

describe('what is chosen', () => {
  const names = ['a', 'b', 'c', 'd'];
  const running = (from: readonly string[]): WatchEvent =>
    answered({ active: from.map((name) => active(name)) });
  const chosenName = (state: WatchState) => state.facts?.active[chosenIndex(state, 'running')]?.name;

  it('stays the same build while others come and go, and is the one in its place when it has ended', () => {
    const state = after(start(), running(names), ...pressed('down', 'down'));
    expect(chosenName(state)).toBe('c');
    expect(chosenName(after(state, running(['new', ...names])))).toBe('c');
    expect(chosenName(after(state, running(['a', 'b', 'd'])))).toBe('d');
    expect(chosenName(after(state, running(['a'])))).toBe('a');
    expect(chosenName(after(state, running([]), running(names)))).toBe('a');
    expect(chosenName(after(state, ...pressed('last')))).toBe('d');
    expect(chosenName(after(state, ...pressed('first', 'up')))).toBe('a');
  });

  it('opens the log of a build and of a failure, and what is known of anything else', () => {
    const state = after(start(), running(names), live(failed('broken')));
    const log = after(state, ...pressed('down', 'open'));
    expect(log.overlay).toMatchObject({ kind: 'log', log: { drvPath: drv('b') } });
    expect(after(log, ...pressed('quit')).overlay).toBeNull();
    const nothing = after(state, ...pressed('previous-pane', 'open'));
    expect([nothing.focus, nothing.overlay]).toEqual(['builders', null]);
    const broken = after({ ...state, focus: 'failures' }, ...pressed('open'));
    expect(broken.overlay).toMatchObject({ kind: 'log', log: { drvPath: drv('broken') } });
    const queued = answered({
      queue: { total: 1, builds: [{ drvPath: drv('q'), name: 'q', why: 'q waits.' }] },
    });
    const waiting = after({ ...start(), focus: 'queue' as const }, queued, ...pressed('open'));
    expect(textOf(waiting).slice(1, 3)).toEqual([`derivation  ${drv('q')}`, 'state       q waits.']);
    expect(textOf(after(waiting, answered({})))[2]).toBe('it is not here any more');
  });

  it('follows the end of a log until it is scrolled, and keeps a bound on it', () => {
    const state = after(start(80, 10), running(names), ...pressed('open'));
    const said = (from: number, to: number): WatchEvent => ({
      type: 'log',
      drvPath: drv('a'),
      lines: Array.from({ length: to - from }, (_, index) => `line ${from + index}`),
      leftOut: 0,
    });
    const full = after(state, said(0, 100));
    expect(textOf(full).slice(1, 8)).toEqual([
      'a: 100 lines',
      'line 94',
      'line 95',
      'line 96',
      'line 97',
      'line 98',
      'line 99',
    ]);
    const scrolled = after(full, ...pressed('up', 'up'), said(100, 200));
    expect(textOf(scrolled)[7]).toBe('line 97');
    expect(textOf(after(scrolled, ...pressed('last')))[7]).toBe('line 199');
    const first = after(full, ...pressed('first', 'first'));
    expect(textOf(first).slice(1, 4)).toEqual([
      expect.stringMatching(/^a: 100 lines, \d+ below$/),
      'line 0',
      'line 1',
    ]);
    expect(textOf(after(first, ...pressed('down', 'down')))[2]).toBe('line 1');
    expect(textOf(after(first, { type: 'resized', columns: 80, rows: 40 }))[2]).toBe('line 0');
    const long = after(full, said(100, logLinesKept + 100));
    expect(textOf(long)[1]).toBe(`a: ${logLinesKept} lines, 100 before these left out`);
    const ofAnother: WatchEvent = { type: 'log', drvPath: drv('other'), lines: ['x'], leftOut: 0 };
    expect(after(full, ofAnother)).toBe(full);
  });
});

describe('failures', () => {
  it('are told once each, newest first, and go when they are mended, wanted so, or old', () => {
    const state = after(start(), live(failed('a'), 1000), live(failed('b'), 2000), live(failed('a'), 3000));
    expect(state.failures.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(after(state, live(failed('c', 'interrupted', 'cancelled')))).toBe(state);
    expect(after(state, live(failed('c', 'building')))).toBe(state);
    expect(after(state, live(failed('b', 'succeeded', null))).failures.map(({ name }) => name)).toEqual([
      'a',
    ]);
    const later = after(state, { type: 'passed', nowMs: 2001 + 15 * 60_000 });
    expect(later.failures.map(({ name }) => name)).toEqual(['a']);
    const many = Array.from({ length: 1000 }, (_, index) => live(failed(`n${index}`)));
    expect(after(start(), ...many).failures).toHaveLength(200);
  });
});

describe('what is written', () => {
  it('is the lines that have changed, and nothing where none has', () => {
    const full = (text: string) => ({ text, isFull: false });
    const rows = ['a', 'b', 'c'].map(full);
    expect(changedText(['a', 'b', 'c'], rows)).toBe('');
    expect(changedText(['a', 'x', 'c'], rows)).toBe('\u001b[2;1Hb\u001b[K');
    expect(changedText(null, [{ text: 'abc', isFull: true }])).toBe('\u001b[1;1Habc');
  });

  it('is read from keys as terminals send them; other sequences are passed over whole', () => {
    expect(parseKeys('\u001b[A\u001bOBjq\t\u001b[Z\r?')).toEqual([
      'up',
      'down',
      'down',
      'quit',
      'next-pane',
      'previous-pane',
      'open',
      'help',
    ]);
    expect(parseKeys('\u001b[1;5A\u001b[<0;1;1Mxyz你\u001b[200~')).toEqual([]);
    expect(parseKeys('\u001b')).toEqual(['back']);
    expect(parseKeys('\u0003')).toEqual(['end']);
  });
});
