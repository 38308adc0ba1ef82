// Bounds what evaluated code can make us log: it may trace without end.
import type { EvaluationEvent } from './evaluator.ts';
import { stripControls } from './failure.ts';

const maxLines = 5000;
const maxLineLength = 2000;

/** The events of a text that Nix or the evaluated code printed; none once there was too much. */
export const createLogLimit = (): ((text: string) => EvaluationEvent[]) => {
  let lines = 0;
  return (text) => {
    if (lines > maxLines) return [];
    const shown = stripControls(text)
      .split('\n', maxLines)
      .filter((line) => line !== '')
      .slice(0, maxLines - lines)
      .map((line): EvaluationEvent => ({ type: 'log', line: line.slice(0, maxLineLength) }));
    lines += shown.length;
    if (lines < maxLines) return shown;
    lines += 1;
    return [
      ...shown,
      { type: 'warning', message: `only the first ${maxLines} lines of the evaluation's log are kept` },
    ];
  };
};
