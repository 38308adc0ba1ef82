// Where a submodule is fetched from, by what `.gitmodules` says: beside the repository that it is in, or anywhere.
import { webAddressOf } from '@eka-ci/nix/locked-inputs/web-address';

/** As git does it: each `../` takes a name from the end of the address, and none takes the host. */
const resolveBeside = (parent: string, relative: string): string | null => {
  const base = URL.parse(parent);
  if (base === null) return null;
  const parts = base.pathname.split('/').filter((part) => part !== '');
  let rest = relative;
  for (;;) {
    const [step = ''] = /^\.{1,2}\/+/.exec(rest) ?? [];
    if (step === '') break;
    rest = rest.slice(step.length);
    if (!step.startsWith('..')) continue;
    if (parts.pop() === undefined) return null;
  }
  const names = rest.split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..' || /[\s\\?#]/.test(name)))
    return null;
  return `${base.origin}/${[...parts, ...names].join('/')}`;
};

/**
 * Over http or https; null where no server is named that speaks it: a path, a program, another protocol.
 * @param parent the address that the repository with the submodule was fetched from
 */
export const submoduleAddress = (parent: string, url: string): string | null => {
  // Trailing slashes mean nothing to git.
  const plain = url.replace(/\/+$/, '');
  return /^\.{1,2}\//.test(plain) ? resolveBeside(parent, plain) : (webAddressOf(plain)?.url ?? null);
};
