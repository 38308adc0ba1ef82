// A badge: how a repository's base branch stands, as a small picture of text. Pure.
import { escapeHtml } from './html-text.ts';

export interface Badge {
  readonly label: string;
  readonly message: string;
  readonly colour: string;
}

/** White text on each has a contrast of 4.5 and more. */
const colours: Readonly<Record<string, string>> = {
  passing: '#1a7f37',
  failing: '#cf222e',
  neutral: '#57606a',
};

const messages: Readonly<Record<string, readonly [string, keyof typeof colours]>> = {
  success: ['passing', 'passing'],
  failure: ['failing', 'failing'],
  'timed-out': ['timed out', 'failing'],
  cancelled: ['cancelled', 'neutral'],
  neutral: ['neutral', 'neutral'],
  'action-required': ['needs approval', 'neutral'],
  pending: ['pending', 'neutral'],
};

/** @param conclusion null where nothing was judged so far */
export const badgeOf = (conclusion: string | null): Badge => {
  const [message, colour] = messages[conclusion ?? ''] ?? ['unknown', 'neutral'];
  return { label: 'EkaCI', message, colour: colours[colour] ?? '#57606a' };
};

const height = 20;
const margin = 6;
/** Of one character of 11 px in the fonts that are asked for; the text is stretched to it where they are not there. */
const characterWidth = 6.6;

const widthOf = (text: string): number => Math.ceil(text.length * characterWidth) + 2 * margin;

const textAt = (text: string, start: number, width: number): string =>
  `<text x="${start + width / 2}" y="14" textLength="${width - 2 * margin}">${escapeHtml(text)}</text>`;

export const renderBadge = ({ label, message, colour }: Badge): string => {
  const [left, right] = [widthOf(label), widthOf(message)];
  const title = escapeHtml(`${label}: ${message}`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="${height}" role="img" aria-label="${title}">
<title>${title}</title>
<rect width="${left}" height="${height}" fill="#24292f"/>
<rect x="${left}" width="${right}" height="${height}" fill="${escapeHtml(colour)}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
${textAt(label, 0, left)}
${textAt(message, left, right)}
</g>
</svg>
`;
};
