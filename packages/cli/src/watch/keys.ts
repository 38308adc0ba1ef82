// What is typed on a terminal, as what it means to whoever watches.

export type Key =
  | 'quit'
  | 'end'
  | 'up'
  | 'down'
  | 'page-up'
  | 'page-down'
  | 'first'
  | 'last'
  | 'next-pane'
  | 'previous-pane'
  | 'open'
  | 'back'
  | 'help'
  | 'redraw'
  | 'stop';

/** As terminals send them (xterm's and VT220's; both cursor-key modes). */
const keys: Readonly<Record<string, Key>> = {
  q: 'quit',
  Q: 'quit',
  '\u0003': 'end',
  '\u0004': 'end',
  '\u001a': 'stop',
  '\u000c': 'redraw',
  '\u001b': 'back',
  '\u007f': 'back',
  '\u0008': 'back',
  h: 'back',
  '\u001b[D': 'back',
  '\u001bOD': 'back',
  k: 'up',
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  j: 'down',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  '\u001b[5~': 'page-up',
  '\u0002': 'page-up',
  '\u001b[6~': 'page-down',
  '\u0006': 'page-down',
  ' ': 'page-down',
  g: 'first',
  '\u001b[H': 'first',
  '\u001bOH': 'first',
  '\u001b[1~': 'first',
  G: 'last',
  '\u001b[F': 'last',
  '\u001bOF': 'last',
  '\u001b[4~': 'last',
  '\t': 'next-pane',
  '\u001b[Z': 'previous-pane',
  '\r': 'open',
  '\n': 'open',
  l: 'open',
  '\u001b[C': 'open',
  '\u001bOC': 'open',
  '?': 'help',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
const typed = /\u001b\[[0-?]*[ -/]*[@-~]|\u001bO[ -~]|[\s\S]/g;

/** What is no key of ours is passed over, whole sequences at once. */
export const parseKeys = (text: string): Key[] =>
  [...text.matchAll(typed)].flatMap(([one]) => (Object.hasOwn(keys, one) ? (keys[one] ?? []) : []));
