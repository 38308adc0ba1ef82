// `"none"`: nothing, for what needs no secret.
import { answerOf, type LoadSource } from '../source.ts';

export const loadNone: LoadSource<'none'> = async () => answerOf([]);
