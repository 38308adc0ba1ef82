import { expect, it } from 'vitest';
import { cutToBytes } from './byte-budget.ts';

it('closes a block that is cut, and takes no code span at the start of a line for one', () => {
  const span = '``` a ``span`` ```: text';
  const rest = 'x'.repeat(100);
  expect(cutToBytes(`${span}\n${rest}`, 60, 'the end')).toBe(`${span}\n\nthe end`);
  expect(cutToBytes(`${span}\n\`\`\`text\nlog\n${rest}\n\`\`\``, 80, 'the end')).toBe(
    `${span}\n\`\`\`text\nlog\n\`\`\`\n\nthe end`,
  );
});
