// What lies over the panes: help, all that is known of one row, a log.
import { formatAge } from '../answer-text.ts';
import { withoutColours } from '../log-lines.ts';
import { formatDuration } from '../progress/progress-view.ts';
import { outageText } from '../queue-text.ts';
import { type Charset, clip, screenText } from '../screen-text.ts';
import { changeName, failureText } from './pane-rows.ts';
import { type Line, say } from './styled-line.ts';
import type { PaneName, ShownLog, WatchState } from './watch-state.ts';

type Fact = readonly [name: string, value: string | null];

/** Narrow and short enough for the smallest screens that are of use. */
const helpText: readonly string[] = [
  'tab, shift-tab   other panes',
  'up, down, j, k   other rows',
  'PgUp PgDn space  a screen at once',
  'g G Home End     first row, last row',
  'enter            log of a build; or all',
  '                 that is known of a row',
  'q, Esc           back, or quit',
  'Ctrl-C           quit',
  'Ctrl-L, Ctrl-Z   draw anew; stop till fg',
  '',
  'Failures are those that you were here for.',
  '"ekaci queue" groups what waits by its reason.',
];

/** Broken where a line is full; words are not kept whole. */
const wrap = (text: string, cells: number, charset: Charset): string[] => {
  const lines: string[] = [];
  for (let rest = screenText(text, charset); rest !== ''; ) {
    const line = clip(rest, Math.max(2, cells));
    // A width of one has no room for a wide character.
    if (line === '') break;
    lines.push(line);
    rest = rest.slice(line.length);
  }
  return lines;
};

const builderFacts = ({ facts, nowMs }: WatchState, key: string): readonly Fact[] | null => {
  const builder = facts?.builders.find(({ name }) => name === key);
  if (builder === undefined) return null;
  const { systems, features, mandatoryFeatures, slots, running, speed, outage } = builder;
  return [
    ['builder', key],
    ['systems', systems.join(' ')],
    ['features', features.join(' ') || 'none'],
    ['only for', mandatoryFeatures.join(' ') || null],
    ['builds', `${running.build} of ${slots.build}`],
    ['fetches', `${running.fixedOutput} of ${slots.fixedOutput}`],
    ['speed', String(speed)],
    ['state', outage === null ? 'up' : outageText(outage, nowMs)],
  ];
};

const changeFacts = ({ facts, nowMs }: WatchState, key: string): readonly Fact[] | null => {
  const change = facts?.open.changes.find(({ id }) => id === key);
  if (change === undefined) return null;
  const { progress, title, headSha, baseSha, fault, updatedAtMs } = change;
  const { etaSeconds, finished, total, failed } = progress;
  const stage = progress.stage.replace('-', ' ');
  return [
    ['change', changeName(change)],
    ['title', title],
    ['head', headSha],
    ['base', baseSha],
    ['stage', `${stage} (${change.state} for ${formatAge(nowMs - updatedAtMs)})`],
    ['builds', `${finished} of ${total}, ${failed} not succeeded`],
    ['left', etaSeconds === null ? 'nobody knows' : `about ${formatDuration(etaSeconds * 1000)}`],
    ['fault', fault],
  ];
};

/** Null: it is not here any more. */
const detailFacts = (state: WatchState, pane: PaneName, key: string): readonly Fact[] | null => {
  switch (pane) {
    case 'builders':
      return builderFacts(state, key);
    case 'changes':
      return changeFacts(state, key);
    case 'running':
    case 'queue': {
      const build = state.facts?.queue.builds.find(({ drvPath }) => drvPath === key);
      if (build === undefined) return null;
      return [
        ['derivation', key],
        ['state', build.why ?? 'it waits'],
      ];
    }
    case 'failures': {
      const failure = state.failures.find(({ drvPath }) => drvPath === key);
      if (failure === undefined) return null;
      return [
        ['derivation', key],
        ['state', failureText(failure)],
      ];
    }
  }
};

const detailLines = (
  state: WatchState,
  { pane, key }: { pane: PaneName; key: string },
  charset: Charset,
): Line[] => {
  const facts = detailFacts(state, pane, key);
  if (facts === null) return [say(key, 'strong'), say('it is not here any more', 'faint')];
  return facts.flatMap(([name, value]) => {
    if (value === null) return [];
    const [first = '', ...rest] = wrap(value, state.columns - 12, charset);
    return [
      [{ text: name.padEnd(12), tone: 'faint' as const }, { text: first }],
      ...rest.map((line) => say(' '.repeat(12) + line)),
    ];
  });
};

const logLines = (log: ShownLog, rows: number, charset: Charset): Line[] => {
  const { name, lines, leftOut, above, note } = log;
  const room = Math.max(0, rows - 2);
  // A screen that has grown is filled.
  const end = Math.max(Math.min(room, lines.length), lines.length - above);
  const shown = lines.slice(Math.max(0, end - room), end).map((line) => say(withoutColours(line)));
  const where = above === 0 ? '' : `, ${above} below`;
  const cut = leftOut === 0 ? '' : `, ${leftOut} before these left out`;
  const title = `${name}: ${lines.length} lines${cut}${where}`;
  const body: Line[] = Array.from({ length: room }, (_, index) => shown[index] ?? []);
  return [say(title, 'strong'), ...body, say(note === null ? '' : screenText(note, charset), 'warn')];
};

/** Not more than there is room for. */
export const overlayLines = (state: WatchState, rows: number, charset: Charset): Line[] => {
  const { overlay } = state;
  if (overlay === null || rows <= 0) return [];
  switch (overlay.kind) {
    case 'help':
      return helpText
        .flatMap((line) => wrap(line, state.columns, charset).map((one) => say(one)))
        .slice(0, rows);
    case 'detail':
      return detailLines(state, overlay, charset).slice(0, rows);
    case 'log':
      return logLines(overlay.log, rows, charset).slice(0, rows);
  }
};
