import fc from 'fast-check';
import { expect, it } from 'vitest';
import { environmentInside, firstProcess } from './first-process.ts';

const own = ['HOME=/build/home', 'TMPDIR=/tmp', 'TMP=/tmp', 'TEMP=/tmp', 'TEMPDIR=/tmp', 'USER=check'];

it('gives every variable one word that env takes for a variable, whatever its name is', () => {
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom('-u', '--', '-S', '=', 'A=B', 'HOME', '__proto__', 'a\0b'),
  );
  fc.assert(
    fc.property(fc.dictionary(name, fc.string()), (env) => {
      const words = environmentInside(env);
      for (const word of words) expect(word).toMatch(/^[^-=\0][^=\0]*=[^\0]*$/s);
      expect(words).toEqual(expect.arrayContaining(own));
      for (const [key, value] of Object.entries(env)) {
        const isPossible = /^[^-=\0][^=\0]*$/.test(key) && !value.includes('\0');
        const isOwn = own.some((word) => word.startsWith(`${key}=`));
        if (isPossible && !isOwn) expect(words).toContain(`${key}=${value}`);
      }
    }),
  );
});

it('hands the command on as it is, after its environment', () => {
  const limits = { timeoutMs: 1, maxMemoryMib: 2, maxCpuSeconds: 3, maxProcesses: 4, maxOutputMib: 5 };
  const command = ['sh', '-c', 'echo "$@"', '--', '-x'];
  const words = firstProcess({ command, env: { A: '1' }, limits }, 'mark');
  expect(words.slice(-command.length)).toEqual(command);
  expect(words.slice(4, 9)).toEqual(['mark', '5', '2048', '8388608', '4']);
});
