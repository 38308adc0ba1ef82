// How text is to look after SGR sequences (ECMA-48, 8.3.117): as names of classes, of which there are finitely many.

/** Of 256 colours: 16 with names, a cube of 216, and 24 greys. */
export type Colour = number;

export interface AnsiStyle {
  readonly foreground: Colour | null;
  readonly background: Colour | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underlined: boolean;
  readonly inverse: boolean;
  readonly struck: boolean;
}

export const plain: AnsiStyle = {
  foreground: null,
  background: null,
  bold: false,
  dim: false,
  italic: false,
  underlined: false,
  inverse: false,
  struck: false,
};

const cubeSteps = [0, 95, 135, 175, 215, 255] as const;

const nearestStep = (value: number): number => {
  const distances = cubeSteps.map((step) => Math.abs(step - value));
  return distances.indexOf(Math.min(...distances));
};

/** Red, green and blue of a colour beyond the 16 that a theme gives. */
export const rgbOf = (colour: Colour): readonly [number, number, number] => {
  if (colour >= 232) {
    const grey = 8 + (colour - 232) * 10;
    return [grey, grey, grey];
  }
  const cell = colour - 16;
  const step = (part: number): number => cubeSteps[part % 6] ?? 0;
  return [step(Math.floor(cell / 36)), step(Math.floor(cell / 6)), step(cell)];
};

const nearestColour = (red: number, green: number, blue: number): Colour =>
  16 + 36 * nearestStep(red) + 6 * nearestStep(green) + nearestStep(blue);

const isByte = (value: number | undefined): value is number =>
  value !== undefined && value >= 0 && value <= 255;

/** A colour that is written in several parameters, and how many it took; null where it is none. */
const readExtended = (rest: readonly number[]): { colour: Colour | null; used: number } => {
  const [kind, first, second, third] = rest;
  if (kind === 5) return { colour: isByte(first) ? first : null, used: 2 };
  if (kind !== 2) return { colour: null, used: 1 };
  const isColour = isByte(first) && isByte(second) && isByte(third);
  return { colour: isColour ? nearestColour(first, second, third) : null, used: 4 };
};

const switches: Readonly<Record<number, Partial<AnsiStyle>>> = {
  0: plain,
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underlined: true },
  7: { inverse: true },
  9: { struck: true },
  21: { underlined: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underlined: false },
  27: { inverse: false },
  29: { struck: false },
  39: { foreground: null },
  49: { background: null },
};

/** One of the 16 colours with names, where a parameter means one. */
const namedColour = (parameter: number): Partial<AnsiStyle> => {
  if (parameter >= 30 && parameter <= 37) return { foreground: parameter - 30 };
  if (parameter >= 40 && parameter <= 47) return { background: parameter - 40 };
  if (parameter >= 90 && parameter <= 97) return { foreground: parameter - 90 + 8 };
  if (parameter >= 100 && parameter <= 107) return { background: parameter - 100 + 8 };
  return {};
};

/** What is not understood changes nothing. */
export const applyStyle = (before: AnsiStyle, parameters: readonly number[]): AnsiStyle => {
  let style = before;
  for (let at = 0; at < parameters.length; at++) {
    const parameter = parameters[at] ?? 0;
    if (parameter === 38 || parameter === 48) {
      const { colour, used } = readExtended(parameters.slice(at + 1));
      if (colour !== null) style = { ...style, [parameter === 38 ? 'foreground' : 'background']: colour };
      at += used;
    } else {
      style = { ...style, ...(switches[parameter] ?? namedColour(parameter)) };
    }
  }
  return style;
};

/** Names of classes, separated by spaces; '' for plain text. */
export const classesOf = (style: AnsiStyle): string => {
  const { foreground, background, bold, dim, italic, underlined, inverse, struck } = style;
  const [front, back] = inverse ? [background, foreground] : [foreground, background];
  return [
    front === null ? (inverse ? 'f-back' : '') : `f${front}`,
    back === null ? (inverse ? 'b-front' : '') : `b${back}`,
    bold ? 'bold' : '',
    dim ? 'dim' : '',
    italic ? 'italic' : '',
    underlined ? 'underlined' : '',
    struck ? 'struck' : '',
  ]
    .filter((name) => name !== '')
    .join(' ');
};
