// Text in the single quotes of a shell, where nothing is expanded.

/** For bash and zsh. */
export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** For fish, where a backslash counts within single quotes. */
export const quoteForFish = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
