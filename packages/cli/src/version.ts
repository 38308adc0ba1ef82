// Which ekaci this is.

/** Of packages/cli/package.json. */
export const version = '0.1.0';
