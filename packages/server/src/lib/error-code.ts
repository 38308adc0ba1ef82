// The stable code of something that was thrown.

/** The `code` of an error of ours or of Node's; an empty string for anything without one. */
export const errorCodeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
