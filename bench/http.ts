// http: every list and detail route of the real server, as its own OpenAPI document names them, at a fixed rate whatever
// it answers, on a database with much in it and on one with a tenth.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import {
  type Benchmark,
  type Figure,
  forOrientation,
  growthFigure,
  type Outcome,
  summarize,
  within,
} from './measure.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';
import { benchRepository, drvNameOf, headOf, logFile, type StateSize, storeState } from './stored-state.ts';

const requestsPerSecond = 200;

interface Answer {
  readonly operation: string;
  readonly status: number;
  /** From the moment at which it was due, so that a server that falls behind cannot hide it. */
  readonly ms: number;
}

interface Route {
  readonly operation: string;
  /** Another one for another number. */
  readonly pathOf: (number: number) => string;
}

interface Documented {
  readonly paths: Readonly<Record<string, { readonly get?: DocumentedGet }>>;
}

interface DocumentedGet {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
  }[];
}

/** Of what nothing is stored here: any id of the form. */
const anyId = '11111111-1111-4111-8111-111111111111';

const valueOf = (
  name: string,
  operation: string,
  { number, size }: { number: number; size: StateSize },
): string | null => {
  const change = number % size.changes;
  const [owner = '', repo = ''] = benchRepository.split('/');
  const values: Readonly<Record<string, string>> = {
    forge: 'git',
    owner,
    repo,
    number: String(change + 1),
    sha: headOf(change),
    drv: drvNameOf(number % size.derivations),
    file: `${repo}.svg`,
    q: 'line',
    'getJob.id': `change-${change}.0`,
    'listJobDerivations.id': `change-${change}.0`,
    id: anyId,
  };
  return values[`${operation}.${name}`] ?? values[name] ?? null;
};

const routeOf = (
  path: string,
  { operationId, parameters = [] }: DocumentedGet,
  size: StateSize,
): Route | null => {
  const needed = parameters.filter((one) => one.in === 'path' || one.required === true);
  if (needed.some(({ name }) => valueOf(name, operationId, { number: 0, size }) === null)) return null;
  const pathOf = (number: number): string => {
    const query = new URLSearchParams();
    let filled = path;
    for (const { name, in: place } of needed) {
      const value = valueOf(name, operationId, { number, size }) ?? '';
      if (place === 'path') filled = filled.replace(`{${name}}`, encodeURIComponent(value));
      else query.set(name, value);
    }
    return query.size === 0 ? filled : `${filled}?${query.toString()}`;
  };
  return { operation: operationId, pathOf };
};

const createClient = ({ socketPath }: ServerProcess) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    close: () => agent.destroy(),
    get: (path: string): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        const sent = request({ socketPath, path, agent }, (answer) => {
          text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
        });
        sent.once('error', reject);
        sent.end();
      }),
  };
};

type Client = ReturnType<typeof createClient>;

const findRoutes = async (client: Client, size: StateSize) => {
  const { body } = await client.get('/v1/openapi.json');
  const { paths } = JSON.parse(body) as Documented; // The server's own document, which its tests validate.
  const gets = Object.entries(paths).flatMap(([path, { get }]) => (get === undefined ? [] : [{ path, get }]));
  const routes = gets.flatMap(({ path, get }) => routeOf(path, get, size) ?? []);
  const asked = new Set(routes.map(({ operation }) => operation));
  return {
    routes,
    left: gets.map(({ get }) => get.operationId).filter((operation) => !asked.has(operation)),
  };
};

/** One request every 5 ms, the routes in turn, whether or not those before are answered. */
const askAll = async (client: Client, routes: readonly Route[], count: number): Promise<Answer[]> => {
  const began = performance.now();
  const answers: Promise<Answer>[] = [];
  for (let number = 0; number < count; number++) {
    const due = began + (number * 1000) / requestsPerSecond;
    const early = due - performance.now();
    if (early > 1) await sleep(early);
    const route = routes[number % routes.length];
    if (route === undefined) continue;
    const { operation, pathOf } = route;
    // A prime: neighbours in time are not neighbours on disk.
    const answer = client.get(pathOf(number * 7919));
    answers.push(answer.then(({ status }) => ({ operation, status, ms: performance.now() - due })));
  }
  return Promise.all(answers);
};

const alone = 5;

/** Each route a few times with nothing beside it: what it costs, where the others' waiting says nothing of that. */
const askOneByOne = async (client: Client, routes: readonly Route[]): Promise<Answer[]> => {
  const answers: Answer[] = [];
  for (let number = 0; number < routes.length * alone; number++) {
    const route = routes[number % routes.length];
    if (route === undefined) continue;
    const sentAt = performance.now();
    const { status } = await client.get(route.pathOf(number * 7919));
    answers.push({ operation: route.operation, status, ms: performance.now() - sentAt });
  }
  return answers;
};

const percentile = (answers: readonly Answer[], part: number): number =>
  answers.map(({ ms }) => ms).toSorted((a, b) => a - b)[Math.floor(answers.length * part)] ?? 0;

interface Measured {
  readonly p99s: readonly number[];
  readonly medians: readonly number[];
  readonly notes: readonly string[];
}

const slowest = (answers: readonly Answer[]): string => {
  const operations = [...new Set(answers.map(({ operation }) => operation))];
  const ranked = operations
    .map((operation) => ({
      operation,
      ms: percentile(
        answers.filter((one) => one.operation === operation),
        0.5,
      ),
    }))
    .toSorted((a, b) => b.ms - a.ms);
  return ranked
    .slice(0, 6)
    .map(({ operation, ms }) => `${operation} ${ms.toFixed(1)} ms`)
    .join(', ');
};

const explain = (
  answers: readonly Answer[],
  single: readonly Answer[],
  { left, forUsers }: { readonly left: readonly string[]; readonly forUsers: readonly string[] },
): string[] => {
  const of = (isOne: (answer: Answer) => boolean) => [
    ...new Set(answers.filter(isOne).map(({ operation }) => operation)),
  ];
  const empty = of(({ status }) => status === 404);
  return [
    `${of(() => true).length} routes, ${answers.length} requests; asked alone the slowest are ${slowest(single)}`,
    ...(empty.length === 0 ? [] : [`of these nothing is stored, they answered 404: ${empty.join(', ')}`]),
    ...(forUsers.length === 0
      ? []
      : [`not asked again, for they are of who is signed in: ${forUsers.join(', ')}`]),
    ...(left.length === 0 ? [] : [`not asked, for want of values of their parameters: ${left.join(', ')}`]),
  ];
};

/** @throws Error on an answer that is neither a success nor "not found" */
const measure = async (
  store: PrivateStore,
  size: StateSize,
  { repetitions, seconds }: { readonly repetitions: number; readonly seconds: number },
): Promise<Measured> => {
  const folder = await mkdtemp(join(store.folder, 'http-'));
  await storeState(join(folder, 'db.sqlite'), size);
  await mkdir(join(folder, 'logs'));
  await writeFile(join(folder, 'logs', logFile), 'a line of a log\n'.repeat(500));
  const server = await startServerProcess({ folder, nix: store.nix });
  const client = createClient(server);
  try {
    const found = await findRoutes(client, size);
    const first = await askAll(client, found.routes, found.routes.length * 2);
    const forUsers = new Set(first.filter(({ status }) => status === 401).map(({ operation }) => operation));
    const routes = found.routes.filter(({ operation }) => !forUsers.has(operation));
    const single = await askOneByOne(client, routes);
    const rounds: Answer[][] = [];
    for (let round = 0; round < repetitions; round++) {
      rounds.push(await askAll(client, routes, seconds * requestsPerSecond));
    }
    const all = rounds.flat();
    const wrong = all.find(({ status }) => status !== 200 && status !== 404);
    if (wrong !== undefined) throw new Error(`${wrong.operation} was answered with ${wrong.status}`);
    return {
      p99s: rounds.map((answers) => percentile(answers, 0.99)),
      medians: rounds.map((answers) => percentile(answers, 0.5)),
      notes: explain(all, single, { left: found.left, forUsers: [...forUsers] }),
    };
  } finally {
    client.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
};

const run = async (store: PrivateStore, smoke: boolean, repetitions: number): Promise<Outcome> => {
  const { storeDir } = store.nix;
  const size: StateSize = {
    storeDir,
    derivations: smoke ? 500 : 100_000,
    changes: smoke ? 20 : 5000,
    builds: 'done',
  };
  const load = { repetitions, seconds: smoke ? 1 : 5 };
  const all = await measure(store, size, load);
  const figures: Figure[] = [
    within({
      name: `p99 at ${requestsPerSecond} requests a second`,
      unit: 'ms',
      ours: summarize(all.p99s),
      atMost: 30,
    }),
    forOrientation({ name: 'median', unit: 'ms', ours: summarize(all.medians) }),
  ];
  if (!smoke) {
    const tenth = { ...size, derivations: size.derivations / 10, changes: size.changes / 10 };
    const small = await measure(store, tenth, load);
    const points = [
      { size: size.derivations, cost: summarize(all.medians).median },
      { size: tenth.derivations, cost: summarize(small.medians).median },
    ];
    figures.push(growthFigure('median', points));
  }
  const stored = `${size.derivations} derivations with builds, ${size.changes} changes and as many jobsets stored`;
  return { kind: 'measured', figures, notes: [stored, ...all.notes] };
};

export const http: Benchmark = {
  name: 'http',
  what: 'every list and detail route of the server at 200 requests a second, on a database as after months',
  run: async ({ smoke, repetitions }) => {
    const store = await createPrivateStore();
    try {
      return await run(store, smoke, repetitions);
    } finally {
      await store.remove();
    }
  },
};
