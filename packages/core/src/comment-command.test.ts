import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CommentCommand, readCommentCommand } from './comment-command.ts';

const merge = { kind: 'merge', method: null } as const;

describe('a line that is a command', () => {
  const rebuild = (...paths: string[]): CommentCommand => ({
    kind: 'rebuild',
    target: { kind: 'attributes', paths },
  });
  it.each<[string, CommentCommand | null]>([
    ['@eka-ci merge', merge],
    ['@EKA-CI merge', merge],
    ['  \t@Eka-Ci   merge  ', null],
    ['   @eka-ci\tmerge', merge],
    ['@eka-ci merge squash', { kind: 'merge', method: 'squash' }],
    ['@eka-ci merge rebase, thank you', { kind: 'merge-unclear', word: 'rebase,' }],
    ['@eka-ci merge merge thank you', { kind: 'merge', method: 'merge' }],
    ['@eka-ci merge squashh', { kind: 'merge-unclear', word: 'squashh' }],
    ['@eka-ci merge Squash', { kind: 'merge-unclear', word: 'Squash' }],
    ['@eka-ci merge cancle', { kind: 'merge-unclear', word: 'cancle' }],
    ['@eka-ci merge once it is green', merge],
    ['@eka-ci merge please', merge],
    ['@eka-ci merge cancel', { kind: 'merge-cancel' }],
    ['@eka-ci approve', { kind: 'approve', forAuthor: false }],
    ['@eka-ci approve author', { kind: 'approve', forAuthor: true }],
    ['@eka-ci approve this', { kind: 'approve', forAuthor: false }],
    ['@eka-ci rebuild', { kind: 'rebuild', target: { kind: 'everything' } }],
    ['@eka-ci rebuild failed ones', { kind: 'rebuild', target: { kind: 'failed' } }],
    ['@eka-ci rebuild hello python3.pkgs.requests hello', rebuild('hello', 'python3.pkgs.requests')],
    ['@eka-ci rebuild `hello`, world — it was the network', rebuild('hello', 'world')],
    ['@eka-ci cancel', { kind: 'cancel' }],
    ['@eka-ci help me', { kind: 'help' }],
    ['@eka-ci', null],
    ['@eka-ci Merge', null],
    ['@eka-ci merge.', null],
    ['@eka-ci toString', null],
    ['@eka-ci, merge', null],
    ['please @eka-ci merge', null],
    ['@eka-cix merge', null],
    ['me@eka-ci merge', null],
    ['@e\u212Aa-ci merge', null],
    ['\u200F@eka-ci merge', null],
    ['@eka-ci\u00A0merge', null],
    ['@eka-ci mer\u200Bge', null],
    ['- @eka-ci merge', null],
    ['**@eka-ci merge**', null],
    ['    @eka-ci merge', null],
    ['> @eka-ci merge', null],
    ['`@eka-ci merge`', null],
    ['<!-- @eka-ci merge -->', null],
  ])('%j', (line, command) => {
    expect(readCommentCommand(line)).toEqual(command);
    expect(readCommentCommand(`thanks!\r\n${line}\r\n@eka-ci help`)).toEqual(command ?? { kind: 'help' });
  });
});

describe('where a command is none', () => {
  const c = '@eka-ci merge';
  it.each([
    ['a fence', `\`\`\`\n${c}\n\`\`\``],
    ['a fence of tildes, with a shorter one in it', `~~~~ sh\n~~~\n${c}\n~~~~`],
    ['a fence that nothing closes', `\`\`\`\n${c}`],
    ['a fence that another mark does not close', `\`\`\`\n~~~\n${c}`],
    ['a fence that a language does not close', `\`\`\`\n\`\`\`sh\n${c}`],
    ['a fence in a list', `1. - \`\`\`\n     ${c}\n     \`\`\``],
    ['a fence behind a marker, little indented', `- \`\`\`\n  ${c}\n  \`\`\``],
    ['indented code', `text\n\n    ${c}\n\t${c}`],
    ['a quote', `>${c}\n   > ${c}`],
    ['a comment of several lines', `<!-- hidden\n${c}\n-->`],
    ['a comment in a paragraph', `text <!-- hidden\n${c}\n--> text`],
    ['a comment in a list', `- <!--\n  ${c}`],
    ['a comment that nothing ends', `<!--\n${c}`],
    ['a comment that begins where another ends', `<!--\n--> <!-- b --> <!--\n${c}\n-->`],
    ['behind the end of a comment', `<!--\n--> ${c}`],
    ['verbatim HTML', `<pre>\n${c}\n</pre>`],
    ['verbatim HTML in capitals', `<PRE lang="sh">\n${c}\n</pRe>`],
  ])('%s', (_, comment) => expect(readCommentCommand(comment)).toBeNull());

  it.each([
    ['after a fence', `\`\`\`\n\`\`\`\n${c}`],
    ['after the item that held an open fence', `- \`\`\`\n  code\n${c}`],
    ['after a code span that looks like a fence', `\`\`\`code\`\`\` text\n${c}`],
    ['after a quote', `> quoted\n${c}`],
    ['after a quoted fence that is not closed', `> \`\`\`\n${c}`],
    ['after a comment', `<!-- a\n-->\n${c}`],
    ['after an empty comment', `<!-->\n${c}`],
    ['after a comment that ends where another does', `<!--\n--> <!-- b -->\n${c}`],
    ['after two comments', `<!-- a --> <!-- b -->\n${c}`],
    ['after a code span that names a comment', `write \`<!--\` first\n${c}\nand --> last`],
    ['after an arrow that nothing ends', `see a <!-- b\n${c}`],
    ['after verbatim HTML', `<pre>x</pre>\n${c}`],
    ['before a comment', `${c} <!-- quietly\n-->`],
    ['with old line ends', `text\r${c}\rtext`],
  ])('but it is one %s', (_, comment) => expect(readCommentCommand(comment)).toEqual(merge));
});

/** Pieces of a comment that close what they open; `live`: the commands in them that count. */
const piece = fc.oneof(
  fc
    .constantFrom('text', '', '# title', '- item', '@eka-ci', '@eka-ci hello', '@someone merge')
    .map((text) => ({
      text,
      live: false,
    })),
  fc
    .record({
      mark: fc.constantFrom('```', '~~~~'),
      inside: fc.array(fc.constantFrom('@eka-ci help', '<!--', '> x', '', '``'), { maxLength: 4 }),
    })
    .map(({ mark, inside }) => ({ text: [mark, ...inside, mark].join('\n'), live: false })),
  fc
    .array(fc.constantFrom('@eka-ci help', '```', '~~~~', '> x'), { maxLength: 4 })
    .map((inside) => ({ text: ['<!--', ...inside, '-->'].join('\n'), live: false })),
  fc
    .array(fc.constantFrom('@eka-ci help', '```', '<!--'), { minLength: 1, maxLength: 4 })
    .map((inside) => ({ text: inside.map((line) => `> ${line}`).join('\n'), live: false })),
  fc.constant({ text: '@eka-ci cancel', live: true }),
);

it('finds the command among whatever is complete before it', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const found = readCommentCommand(pieces.map(({ text }) => text).join('\n'));
      expect(found).toEqual(pieces.some(({ live }) => live) ? { kind: 'cancel' } : null);
    }),
    { numRuns: 1000 },
  );
});

it('reads any text, and gives only words that were written', () => {
  const text = fc
    .array(
      fc.oneof(
        fc.constantFrom('@eka-ci ', 'merge ', 'rebuild ', '\n', '`', '<!--', '-->', '\t'),
        fc.string(),
      ),
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (comment) => {
      const command = readCommentCommand(comment);
      if (command?.kind === 'rebuild' && command.target.kind === 'attributes') {
        expect(command.target.paths.every((path) => comment.includes(path))).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

describe('takes a hostile comment of megabytes', () => {
  // Enough that a step which looks again at what was read before would not end within the test's time.
  const many = 200_000;
  it.each([
    ['10,000 mentions', '@eka-ci '.repeat(10_000)],
    ['many mentions', '@eka-ci x\n'.repeat(many)],
    ['spaces', ' '.repeat(4 * many)],
    ['tabs before a fence', `${'\t'.repeat(many)}\`\`\``],
    ['backticks', '`'.repeat(4 * many)],
    ['odd backticks', '`` '.repeat(many)],
    ['list markers', '- '.repeat(many)],
    ['open comments', '<!-- '.repeat(many)],
    ['lines of open comments', 'a <!--\n'.repeat(many)],
    ['closed comments', '<!-- -->'.repeat(many)],
    ['one rebuild of many names', `@eka-ci rebuild ${'a'.repeat(600)} ${'b '.repeat(many)}`],
    ['quotes', '>'.repeat(4 * many)],
    ['fences that do not close', '```\n~~~\n'.repeat(many)],
  ])('%s', (_, comment) => {
    const command = readCommentCommand(comment);
    expect(command?.kind ?? 'rebuild').toBe('rebuild');
  });
});
