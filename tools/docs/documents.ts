// The generated documents of docs/reference: what each is made from. A copy that is not generated rots.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderCommandReference } from '@eka-ci/cli/command-reference';
import { renderErrors } from './errors.ts';
import { renderLiveEvents } from './live-events.ts';
import { renderMetrics } from './metrics.ts';
import { renderConfigurationPage, renderConfigurationSchema } from './repository-configuration.ts';
import { renderServerConfigurationPage, renderServerConfigurationSchema } from './server-configuration.ts';

interface GeneratedDocument {
  /** From the repository's root, with forward slashes. */
  readonly file: string;
  readonly render: (root: string) => Promise<string>;
}

const documents: readonly GeneratedDocument[] = [
  { file: 'docs/reference/cli.md', render: renderCommandReference },
  { file: 'docs/reference/configuration.md', render: renderServerConfigurationPage },
  { file: 'docs/reference/configuration.schema.json', render: renderServerConfigurationSchema },
  { file: 'docs/reference/errors.md', render: renderErrors },
  { file: 'docs/reference/live-events.md', render: renderLiveEvents },
  { file: 'docs/reference/metrics.md', render: renderMetrics },
  { file: 'docs/reference/repository-configuration.md', render: renderConfigurationPage },
  { file: 'docs/reference/repository-configuration.schema.json', render: renderConfigurationSchema },
];

const readOrEmpty = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return ''; // Not written yet, which is as stale as it can be.
  }
};

/** The documents whose text on disk differs from what their source says now. */
export const renderStaleDocuments = async (root: string): Promise<{ file: string; text: string }[]> => {
  const rendered = await Promise.all(
    documents.map(async ({ file, render }) => ({
      file,
      text: await render(root),
      old: await readOrEmpty(join(root, file)),
    })),
  );
  return rendered.filter(({ text, old }) => text !== old);
};
