// `npm run docs`: writes the generated documents anew where they are out of step with their sources.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { renderStaleDocuments } from './docs/documents.ts';
import { repositoryRoot } from './program.ts';

const stale = await renderStaleDocuments(repositoryRoot);
for (const { file, text } of stale) {
  await mkdir(dirname(join(repositoryRoot, file)), { recursive: true });
  await writeFile(join(repositoryRoot, file), text);
  console.log(`wrote ${file}`);
}
if (stale.length === 0) console.log('docs/reference is in step with its sources');
