import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { readToml, type TomlPath } from './toml-text.ts';

const lines = (text: string, ...paths: readonly TomlPath[]): number[] => {
  const read = readToml(text);
  if (read.kind === 'invalid') throw new Error(read.message);
  return paths.map((path) => read.lineOf(path));
};

describe('the places in a TOML text', () => {
  it('are found through every way to write a key', () => {
    const text = [
      '# a = 1 # [b]',
      'top = 1',
      '"quo\\u0074ed.key" = """',
      'not = "a key" ',
      '""""',
      "web . 'port' = 0o600 # trailing",
      '[web.inner]',
      "list = [ 'a]', # x = [",
      '  { b = "}", c.d = 3 },',
      ']',
      '[[caches]]',
      "id = '''",
      "[web]'''",
      '[caches.permissions]',
      'allow_all = false',
      '[[caches]]',
      'credentials.env.vars = [ "A",',
      '  "B" ]',
      'when = 2020-01-01T00:00:00Z',
    ].join('\r\n');
    expect(
      lines(
        text,
        ['top'],
        ['quoted.key'],
        ['web', 'port'],
        ['web', 'inner', 'list', 0],
        ['web', 'inner', 'list', 1, 'c', 'd'],
        ['caches', 0, 'id'],
        ['caches', 0, 'permissions', 'allow_all'],
        ['caches', 1],
        ['caches', 1, 'credentials', 'env', 'vars', 1],
        ['caches', 1, 'missing', 'deeper'],
      ),
    ).toEqual([2, 3, 6, 8, 9, 12, 15, 16, 18, 16]);
    const read = readToml(text);
    expect(read.kind === 'read' && read.scalarOf(['web', 'port'])).toBe('0o600');
  });

  it('tells where a text is not TOML, without quoting it', () => {
    const invalid = readToml('a = 1\nwebhook_secret = "canary\nb = 2\n');
    expect(invalid).toEqual({
      kind: 'invalid',
      line: 2,
      column: 25,
      message: 'is not TOML: control characters are not allowed in strings',
    });
  });

  it('finds every leaf of whatever the serialiser writes', () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.double({ noNaN: true }));
    const { table } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, leaf, tie('list'), tie('table')),
      list: fc.array(tie('value'), { maxLength: 3 }),
      table: fc.dictionary(
        fc
          .string({ minLength: 1, maxLength: 6 })
          .filter((key) => !['__proto__', 'constructor'].includes(key)),
        tie('value'),
        { maxKeys: 4 },
      ),
    }));
    fc.assert(
      fc.property(table, (value) => {
        const text = stringify(value);
        const read = readToml(text);
        if (read.kind === 'invalid') throw new Error(read.message);
        const source = text.split('\n');
        const visit = (inner: unknown, path: TomlPath): void => {
          if (typeof inner === 'object' && inner !== null) {
            for (const [key, member] of Object.entries(inner)) {
              visit(member, [...path, Array.isArray(inner) ? Number(key) : key]);
            }
          } else if (typeof inner === 'number' && path.length > 0) {
            const line = source[read.lineOf(path) - 1] ?? '';
            expect(line).toContain(read.scalarOf(path) ?? 'nothing');
            expect(Number(read.scalarOf(path)?.replace('inf', 'Infinity'))).toBeCloseTo(inner);
          }
        };
        visit(read.table, []);
      }),
    );
  });
});
