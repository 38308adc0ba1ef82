// Branded identifiers: a wrong argument order must not compile.

declare const brand: unique symbol;

/** A `T` that only its parser makes. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Full store path of a derivation file, for example `/nix/store/<32 characters>-hello-1.0.drv`. */
export type DrvPath = Brand<string, 'DrvPath'>;
/** Full store path of anything in the store, derivation files included. */
export type StorePath = Brand<string, 'StorePath'>;
/** Full object name of a git commit: 40 or 64 lower-case hexadecimal digits. */
export type CommitSha = Brand<string, 'CommitSha'>;
/** Full object name of a git tree. */
export type TreeSha = Brand<string, 'TreeSha'>;
