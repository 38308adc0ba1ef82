// What standard output can show.

export const useColours = (): boolean =>
  process.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';

export const columnsOf = (): number => process.stdout.columns ?? 100;
