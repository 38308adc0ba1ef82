// Asks every operation of the API's document for what is right and what is wrong, and holds the answers to what that
// document promises. `EKA_CI_FUZZ_RUNS` sets how many requests there are, with a new seed each time.
import { join } from 'node:path';
import type { OrderedBuild } from '@eka-ci/protocol/build-request';
import { ErrorBody } from '@eka-ci/protocol/error';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFakeSignIn } from '../forge/forge-sign-in.fake.ts';
import { createHttpApp } from './app.ts';
import type { Parameter } from './docs/openapi-document.ts';
import { type Listening, listen } from './listen.ts';
import { type DocumentedApi, type DocumentedOperation, readApi } from './testing/documented.ts';
import { bodies, hostileText, valid } from './testing/from-schema.ts';
import { type RawRequest, send, type Target } from './testing/raw-request.ts';
import { checkId, head, metricsToken, newChange, runCheck, type Served, serve } from './testing/served.ts';

const review = '01890a5d-ac96-774b-bcce-b302099a8057';

const asked = process.env['EKA_CI_FUZZ_RUNS'];
const runs = asked === undefined ? 600 : Number(asked);
/** Of all requests together; one is a few milliseconds. */
const timeoutMs = 15_000 + runs * 50;

const ordered: OrderedBuild = {
  id: review,
  drvPath: '/nix/store/00000000000000000000000000000000-ordered.drv',
  force: false,
  rebuildAll: true,
  state: 'building',
  ending: null,
};

const somebody = { host: 'github.com', id: 1, login: 'somebody', atMs: 1000, isListed: false };

let served: Served;
let listening: Listening;
let api: DocumentedApi;
let socket: Target;
let port: Target;
/** Of an admin. */
let apiToken = '';

beforeAll(async () => {
  served = await serve({
    forge: createFakeSignIn(),
    // Nothing is looked for outside: whatever text a request holds, no program is started for it.
    submitReview: () => Promise.resolve({ kind: 'new', change: newChange(review, { kind: 'submitted' }) }),
    actions: {
      stopJudging: () => {},
      wake: () => {},
      orderBuild: () => Promise.resolve({ kind: 'accepted', build: ordered }),
      findOrder: (id) => (id === review ? ordered : null),
      audit: () => {},
    },
  });
  await runCheck(served);
  await served.database.changes.save(newChange(review, { kind: 'submitted', number: 1 }));
  const user = await served.deps.auth.users.signIn(somebody);
  await served.deps.auth.users.setPromoted(user, true);
  const made = await served.deps.auth.apiTokens.make(user, { name: 'fuzz', expiresInDays: null });
  apiToken = made?.text ?? '';
  const socketPath = join(served.folder, 'fuzz.socket');
  listening = await listen(await createHttpApp(served.deps), {
    tcp: { address: '127.0.0.1', port: 0 },
    socket: { path: socketPath, mode: 0o600 },
    closeTimeoutMs: 1000,
  });
  socket = { socketPath };
  port = { host: '127.0.0.1', port: listening.tcp?.port ?? 0 };
  api = await readApi((await served.app.inject('/v1/openapi.json')).json());
});
afterAll(async () => {
  await listening.close();
  await served.close();
});

/** Values that there is something behind, by the names of parameters. */
const samples = (): Readonly<Record<string, readonly string[]>> => ({
  drv: [served.drv, served.dependent.slice('/nix/store/'.length)],
  sha: [head],
  id: ['judged.0', 'judged.0', 'judged.7', checkId, checkId],
  forge: ['github'],
  owner: ['example'],
  repo: ['packages'],
  number: ['7', '7', '7', '7', '8'],
  file: ['packages.svg'],
  attempt: ['1', '2'],
  hook: ['notify'],
  q: ['open', 'line'],
});

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value.toWellFormed() : JSON.stringify(value);

/** `right` is what a client sends that has read the document, `any` is anything. */
type Mode = 'right' | 'any';

const rightValue = ({ name, schema = {} }: Parameter): fc.Arbitrary<string> => {
  const known = schema.format === 'uuid' ? [review] : samples()[name];
  const fitting = valid(schema, api.resolve).map(textOf);
  if (known === undefined) return fitting;
  return fc.oneof({ arbitrary: fc.constantFrom(...known), weight: 7 }, { arbitrary: fitting, weight: 1 });
};

const valueOf = (parameter: Parameter, mode: Mode): fc.Arbitrary<string> =>
  mode === 'right'
    ? rightValue(parameter).map(encodeURIComponent)
    : encoded(
        fc.oneof({ arbitrary: rightValue(parameter), weight: 2 }, { arbitrary: hostileText, weight: 1 }),
      );

/** As a value is put into an address: well, twice, or as it is where the parser of addresses lets it pass. */
const encodings: readonly ((text: string) => string)[] = [
  ...new Array<typeof encodeURIComponent>(12).fill(encodeURIComponent),
  (text) => encodeURIComponent(encodeURIComponent(text)),
  (text) => encodeURIComponent(text).toLowerCase(),
  (text) => `${encodeURIComponent(text)}%zz`,
];
const encoded = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(value, fc.constantFrom(...encodings)).map(([text, encode]) => encode(text));

const pathOf = (operation: DocumentedOperation, mode: Mode): fc.Arbitrary<string> => {
  const parameters = (operation.parameters ?? []).filter((one) => one.in === 'path');
  return fc
    .tuple(...parameters.map((one) => valueOf(one, mode)))
    .map((values) =>
      parameters.reduce(
        (path, { name }, at) => path.replace(`{${name}}`, () => values[at] ?? ''),
        operation.path,
      ),
    );
};

const queryOf = (operation: DocumentedOperation, mode: Mode): fc.Arbitrary<string> => {
  const parameters = (operation.parameters ?? []).filter((one) => one.in === 'query');
  const isAsked = ({ name, required }: Parameter): boolean =>
    // No cursor is right but one that was given.
    mode === 'any' || required === true || name !== 'cursor';
  const known = parameters.filter(isAsked).map((one) => {
    const once = valueOf(one, mode).map((value) => `${one.name}=${value}`);
    const absent = { arbitrary: fc.constant(''), weight: one.required === true && mode === 'right' ? 0 : 3 };
    const twice = { arbitrary: once.map((text) => `${text}&${text}`), weight: mode === 'right' ? 0 : 1 };
    return fc.oneof(absent, { arbitrary: once, weight: 3 }, twice);
  });
  const unknown = encoded(hostileText).chain((text) => fc.constantFrom('', '', '', text, `${text}=1`));
  return fc
    .tuple(...known, mode === 'right' ? fc.constant('') : unknown)
    .map((parts) => parts.filter((part) => part !== '').join('&'));
};

/** Of an admin, or of the metrics. */
const rightHeaders = fc
  .boolean()
  .map((byToken) => ({ authorization: `Bearer ${byToken ? apiToken : metricsToken}` }));
const anyHeaders = fc.record(
  {
    accept: fc.constantFrom('*/*', 'text/html', 'text/html;q=0.5,text/plain', ';;,q=', 'x'.repeat(500)),
    range: fc.constantFrom('bytes=0-3', 'bytes=-1', 'bytes=99999-', 'bytes=5-2', 'lines=1', 'bytes=0-1,3-4'),
    'if-none-match': fc.constantFrom('*', '"x"', 'W/"', ',,,'),
    'if-range': fc.constantFrom('"x"', ''),
    authorization: fc.constantFrom(`Bearer ${metricsToken}`, 'Bearer', 'Basic x', ''),
    'x-forwarded-for': fc.constantFrom('1.2.3.4', '::1', 'nobody'),
  },
  { requiredKeys: [] },
);

const asJson = (body: string, contentType: string) => ({
  body,
  headers: { 'content-type': contentType, 'content-length': String(Buffer.byteLength(body)) },
});

const bodyOf = (
  operation: DocumentedOperation,
  mode: Mode,
): fc.Arbitrary<Pick<RawRequest, 'body' | 'headers'>> => {
  if (operation.method === 'get') return fc.constant({});
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  if (mode === 'right') {
    if (schema === undefined) return fc.constant({});
    return valid(schema, api.resolve).map((value) => asJson(JSON.stringify(value), 'application/json'));
  }
  const type = fc.oneof(
    { arbitrary: fc.constant('application/json'), weight: 8 },
    {
      arbitrary: fc.constantFrom('text/plain', 'application/json; charset=utf-7', 'multipart/form-data', ''),
      weight: 1,
    },
  );
  return fc.oneof(
    { arbitrary: fc.constant({}), weight: 1 },
    {
      arbitrary: fc.tuple(bodies(schema ?? {}, api.resolve), type).map((sent) => asJson(...sent)),
      weight: 6,
    },
  );
};

const requests = (
  operation: DocumentedOperation,
  mode: Mode,
): fc.Arbitrary<RawRequest & { readonly asOperator: boolean }> =>
  fc
    .tuple(
      pathOf(operation, mode),
      queryOf(operation, mode),
      bodyOf(operation, mode),
      mode === 'right' ? rightHeaders : anyHeaders,
      fc.boolean(),
    )
    .map(([path, query, { body, headers }, more, asOperator]) => ({
      method: operation.method.toUpperCase(),
      path: query === '' ? path : `${path}?${query}`,
      headers: { ...more, ...headers },
      ...(body !== undefined && { body }),
      asOperator,
    }));

/** What may be answered to any address: it is no operation's at all. */
const ofNoOperation = ['PATH_INVALID', 'ROUTE_NOT_FOUND', 'METHOD_NOT_ALLOWED'];

/** A promise about success is kept only where there is some. */
const succeeded = new Set<string>();

/** What is wrong with an answer; '' where nothing is. */
const judge = async (operation: DocumentedOperation, request: RawRequest & { asOperator: boolean }) => {
  const answer = await send(request.asOperator ? socket : port, request);
  const { status, body } = answer;
  if (status < 304) succeeded.add(operation.operationId);
  if (status >= 500) return `${status}: ${body}`;
  if (status === 304) return body === '' ? '' : 'a body that was not asked for';
  const contentType = String(answer.headers['content-type'] ?? '');
  if (status >= 400 && !contentType.startsWith('text/html')) {
    const { code, message } = ErrorBody.parse(JSON.parse(body)).error;
    if (message === '' || /\n\s+at |node_modules/.test(message))
      return `it tells too little or too much: ${message}`;
    if (ofNoOperation.includes(code)) return '';
  }
  return api.faultOf(operation, { status, contentType, body });
};

it(
  'answers whatever is asked in the way that its document promises',
  async () => {
    const numRuns = Math.ceil(runs / api.operations.length);
    for (const [index, operation] of api.operations.entries()) {
      await fc.assert(
        fc.asyncProperty(
          fc.oneof(requests(operation, 'right'), requests(operation, 'any')),
          async (request) => {
            expect(await judge(operation, request), operation.operationId).toBe('');
          },
        ),
        // Of what reads, some must succeed.
        {
          numRuns: operation.method === 'get' ? 2 * numRuns : numRuns,
          ...(asked === undefined && { seed: 20_26 + index }),
        },
      );
    }
    // Whether something can be done depends on what was done before; what is there can always be read.
    const unread = api.operations.filter(
      ({ operationId, method }) =>
        // A sign-in is finished by who has begun it, once.
        method === 'get' && operationId !== 'finishSignIn' && !succeeded.has(operationId),
    );
    if (asked === undefined) expect(unread.map(({ operationId }) => operationId)).toEqual([]);
    expect(served.faults).toEqual([]);
  },
  timeoutMs,
);
