// `{ cachix-token = { env_var } }`: the token of a Cachix cache, under whatever name the server has it.
import { answerOf, type LoadSource, readVariable } from '../source.ts';

export const loadCachixToken: LoadSource<'cachix-token'> = async ({ env_var: name }, host) =>
  answerOf([['CACHIX_AUTH_TOKEN', readVariable(host, name)]]);
