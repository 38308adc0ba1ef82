// `{ env = { vars } }`: variables of the server itself.
import { answerOf, type LoadSource, readVariable } from '../source.ts';

export const loadEnv: LoadSource<'env'> = async ({ vars }, host) =>
  answerOf(vars.map((name) => [name, readVariable(host, name)] as const));
