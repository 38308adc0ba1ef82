// What a client says over its live connection, as far as it can be understood.
import { LiveRequest, type Resource } from '@eka-ci/protocol/live';
import type { LiveTopic } from '../../pipeline/live/live-topics.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';

/** Codes of `error` events. */
export type LiveErrorCode = 'MESSAGE_INVALID' | 'DRV_INVALID' | 'SUBSCRIPTIONS_EXCEEDED';

export type ParsedRequest =
  | {
      readonly kind: 'request';
      readonly type: LiveRequest['type'];
      /** As it was asked for. */
      readonly resource: Resource;
      readonly topic: LiveTopic;
    }
  | { readonly kind: 'refused'; readonly code: LiveErrorCode; readonly message: string };

const refused = (code: LiveErrorCode, message: string): ParsedRequest => ({ kind: 'refused', code, message });

const readJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** @param id a path in the store, or the last part of it */
const topicOfId = (id: string, storeDir: string): LiveTopic => {
  const name = id.startsWith(`${storeDir}/`) ? id.slice(storeDir.length + 1) : id;
  return { resource: 'drv', id: parseDrvParam(name, storeDir) };
};

/** @param storeDir as `HttpDeps` has it */
export const parseLiveRequest = (text: string, storeDir: string): ParsedRequest => {
  const parsed = LiveRequest.safeParse(readJson(text));
  if (!parsed.success) {
    return refused(
      'MESSAGE_INVALID',
      'this is no request: send {"type":"subscribe","resource":"drv","id":"…"}; docs/reference/live-events.md lists all',
    );
  }
  const { type, ...resource } = parsed.data;
  try {
    const topic = resource.resource === 'drv' ? topicOfId(resource.id, storeDir) : resource;
    return { kind: 'request', type, resource, topic };
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return refused('DRV_INVALID', error.message);
  }
};
