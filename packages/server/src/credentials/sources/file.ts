// `{ file = { path } }`: a JSON object, or lines of KEY=VALUE.
import { parseCredentialText } from '../credential-text.ts';
import { answerOf, type LoadSource } from '../source.ts';
import { readCredentialFile, valuesOf } from './credential-file.ts';

export const loadFile: LoadSource<'file'> = async ({ path }, host) => {
  const { text, warnings } = await readCredentialFile(host, path);
  return answerOf(valuesOf(path, parseCredentialText(text)), { warnings });
};
