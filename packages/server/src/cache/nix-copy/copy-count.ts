// Counts what `nix copy` has copied, by what its log says.
import type { CopyLogEvent } from '@eka-ci/nix/copy-log';
import type { PathInfo } from '@eka-ci/nix/store-queries';
import type { PushProgress } from '../cache.ts';

export interface CopyCount {
  readonly take: (event: CopyLogEvent) => void;
  /** Bytes as in the store: what is sent is less where it is compressed. */
  readonly sent: () => { readonly sentPaths: number; readonly sentBytes: number };
}

export const createCopyCount = (
  infos: ReadonlyMap<string, Pick<PathInfo, 'narSize'>>,
  onProgress: ((progress: PushProgress) => void) | undefined,
): CopyCount => {
  const done = new Set<string>();
  let sentBytes = 0;
  const sent = () => ({ sentPaths: done.size, sentBytes });
  return {
    take: (event) => {
      if (event.kind !== 'copy-ended' || done.has(event.path)) return;
      done.add(event.path);
      sentBytes += infos.get(event.path)?.narSize ?? 0;
      onProgress?.(sent());
    },
    sent,
  };
};
