// The style of a log's page: sixteen colours by theme, the others as they are.
import { rgbOf } from './ansi-style.ts';

/** Dark on light and light on dark, each with a contrast of 4.5 and more to its background. */
const themes = {
  light: {
    front: '#1f2328',
    back: '#ffffff',
    quiet: '#59636e',
    mark: '#fff8c5',
    colours: [
      '#24292f',
      '#b31d28',
      '#116329',
      '#7d4e00',
      '#0550ae',
      '#8250df',
      '#1b6c83',
      '#57606a',
      '#57606a',
      '#a40e26',
      '#1a7f37',
      '#633c01',
      '#0969da',
      '#8250df',
      '#136061',
      '#424a53',
    ],
  },
  dark: {
    front: '#e6edf3',
    back: '#0d1117',
    quiet: '#9198a1',
    mark: '#3b2f00',
    colours: [
      '#8b949e',
      '#ff7b72',
      '#3fb950',
      '#d29922',
      '#58a6ff',
      '#bc8cff',
      '#39c5cf',
      '#b1bac4',
      '#9da7b1',
      '#ffa198',
      '#56d364',
      '#e3b341',
      '#79c0ff',
      '#d2a8ff',
      '#56d4dd',
      '#f0f6fc',
    ],
  },
} as const;

const variables = ({ front, back, quiet, mark, colours }: (typeof themes)['light' | 'dark']): string =>
  [
    `--front:${front};--back:${back};--quiet:${quiet};--mark:${mark};`,
    ...colours.map((colour, index) => `--c${index}:${colour};`),
  ].join('');

const colourRules = (): string[] =>
  Array.from({ length: 256 }, (_, index) => {
    const value = index < 16 ? `var(--c${index})` : `rgb(${rgbOf(index).join(' ')})`;
    return `.f${index}{color:${value}}.b${index}{background:${value}}`;
  });

export const logStyle = (): string => `:root{${variables(themes.light)}color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{${variables(themes.dark)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--front);font:14px/1.5 system-ui,sans-serif}
header{padding:8px 16px;display:flex;flex-wrap:wrap;gap:4px 16px;align-items:baseline}
h1{font-size:16px;margin:0;overflow-wrap:anywhere}
p{margin:0}
header a{color:var(--c12)}
pre{margin:0;padding:0 16px 16px;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:8}
pre a{color:var(--quiet);text-decoration:none;user-select:none;scroll-margin-top:30vh}
pre a::before{content:attr(id);display:inline-block;min-width:7ch;padding-right:2ch}
pre a:hover,pre a:focus-visible{text-decoration:underline}
pre a:target::before{background:var(--mark);color:var(--front)}
.bold{font-weight:700}.dim{opacity:.75}.italic{font-style:italic}
.underlined{text-decoration:underline}.struck{text-decoration:line-through}
.f-back{color:var(--back)}.b-front{background:var(--front)}
${colourRules().join('\n')}
`;
