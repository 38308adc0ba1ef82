// The generated documents of docs/reference: what each is made from. A copy that is not generated rots.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderErrors } from './errors.ts';
import { renderConfigurationPage, renderConfigurationSchema } from './repository-configuration.ts';
import { renderServerConfigurationPage, renderServerConfigurationSchema } from './server-configuration.ts';

interface GeneratedDocument {
  /** From the repository's root, with forward slashes. */
  readonly file: string;
  readonly render: (root: string) => Promise<string>;
}

const documents: readonly GeneratedDocument[] = [
  { file: 'docs/reference/configuration.md', render: renderServerConfigurationPage },
  { file: 'docs/reference/configuration.schema.json', render: renderServerConfigurationSchema },
  { file: 'docs/reference/errors.md', render: renderErrors },
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
