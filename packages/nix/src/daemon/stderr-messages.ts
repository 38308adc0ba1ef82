// What a daemon says while it works: log messages, activities and their results, then the end or an error.
// Named after its first purpose in Nix, to carry the standard error of a builder.
import { withoutAnsi } from '../internal-json.ts';
import { type DaemonRefusal, limitError, protocolError } from './daemon-error.ts';
import type { WireReader } from './wire-reader.ts';

export type StderrField = string | number;

export type StderrMessage =
  | { readonly kind: 'next'; readonly text: string }
  | {
      readonly kind: 'start';
      /** Over 2^53 on machines with large process ids: exact only so. */
      readonly id: bigint;
      readonly level: number;
      readonly type: number;
      readonly text: string;
      readonly fields: readonly StderrField[];
      readonly parent: bigint;
    }
  | { readonly kind: 'stop'; readonly id: bigint }
  | {
      readonly kind: 'result';
      readonly id: bigint;
      readonly type: number;
      readonly fields: readonly StderrField[];
    }
  | { readonly kind: 'last' }
  | { readonly kind: 'error'; readonly refusal: DaemonRefusal };

/** The protocol's numbers: four letters each, of which the names remind. */
const NEXT = 0x6f6c6d67;
const READ = 0x64617461;
const WRITE = 0x64617416;
const LAST = 0x616c7473;
const START_ACTIVITY = 0x53545254;
const STOP_ACTIVITY = 0x53544f50;
const RESULT = 0x52534c54;
/** Also seen where the bytes of a path should begin. */
export const STDERR_ERROR = 0x63787470;

/** Nix itself sends at most four fields, and as many traces as calls were nested. */
const maxFields = 64;
const maxTraces = 10_000;

const readFields = async (reader: WireReader): Promise<StderrField[]> => {
  const length = await reader.number();
  if (length > maxFields) throw limitError(`an activity with ${length} fields`, maxFields);
  const fields: StderrField[] = [];
  for (let i = 0; i < length; i++) {
    const type = await reader.number();
    if (type === 0) fields.push(Number(await reader.bigint()));
    else if (type === 1) fields.push(await reader.cutString());
    else throw protocolError(`a field of type ${type}`);
  }
  return fields;
};

const refusePosition = async (reader: WireReader): Promise<void> => {
  // Every Nix writes 0 here, and none reads anything else.
  if (!(await reader.boolean())) return;
  throw protocolError('an error with a source position, of which no form is known');
};

/** An error in the form of protocol 1.26 and newer. */
export const readRefusal = async (reader: WireReader): Promise<DaemonRefusal> => {
  const type = await reader.string();
  if (type !== 'Error') throw protocolError(`an error of the type ${JSON.stringify(type.slice(0, 40))}`);
  const level = await reader.number();
  await reader.string(); // Its class in Nix's sources; newer ones send what they like.
  const message = withoutAnsi(await reader.cutString());
  await refusePosition(reader);
  const count = await reader.number();
  if (count > maxTraces) throw limitError(`an error with ${count} traces`, maxTraces);
  const traces: string[] = [];
  for (let i = 0; i < count; i++) {
    await refusePosition(reader);
    traces.push(withoutAnsi(await reader.cutString()));
  }
  return { level, message, traces };
};

/** @throws NixDaemonError NIX_DAEMON_PROTOCOL for what is no message, or none that our requests can lead to */
export const readStderrMessage = async (reader: WireReader): Promise<StderrMessage> => {
  const tag = await reader.number();
  switch (tag) {
    case NEXT:
      return { kind: 'next', text: await reader.cutString() };
    case START_ACTIVITY: {
      const id = await reader.bigint();
      const [level, type, text] = [await reader.number(), await reader.number(), await reader.cutString()];
      const fields = await readFields(reader);
      return { kind: 'start', id, level, type, text, fields, parent: await reader.bigint() };
    }
    case STOP_ACTIVITY:
      return { kind: 'stop', id: await reader.bigint() };
    case RESULT: {
      const [id, type] = [await reader.bigint(), await reader.number()];
      return { kind: 'result', id, type, fields: await readFields(reader) };
    }
    case LAST:
      return { kind: 'last' };
    case STDERR_ERROR:
      return { kind: 'error', refusal: await readRefusal(reader) };
    case READ:
    case WRITE:
      // How bytes went before protocol 1.23, and out of exports: nothing that is asked here leads to it.
      throw protocolError(`it ${tag === READ ? 'asks for' : 'sends'} bytes that no operation is about`);
    default:
      throw protocolError(`a message of the unknown kind ${tag.toString(16)} hexadecimal`);
  }
};
