// Tells when sources are saved: once for a burst of saves, however many files an editor or git touches at a time.
import { watch } from 'node:fs';
import { join } from 'node:path';

/** What a server does not run need not restart it. */
const isSource = (file: string): boolean =>
  file.endsWith('.ts') && !/\.(?:test|contract|fake)\.ts$|(?:^|\/)testing\//.test(file);

const quietMs = 120;

/**
 * Watches the folders and all below them until the signal aborts.
 * @param onSaved with the paths of what changed
 */
export const watchSources = (
  folders: readonly string[],
  onSaved: (files: readonly string[]) => void,
  signal: AbortSignal,
): void => {
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    const files = [...changed];
    changed.clear();
    onSaved(files);
  };
  for (const folder of folders) {
    watch(folder, { recursive: true, signal }, (_event, name) => {
      if (name === null || !isSource(name)) return;
      changed.add(join(folder, name));
      clearTimeout(timer);
      timer = setTimeout(tell, quietMs);
    });
  }
  signal.addEventListener('abort', () => clearTimeout(timer));
};
