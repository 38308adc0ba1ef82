// An object store for tests that speaks as much of S3 as a binary cache needs, and looks at every signature: Signature
// Version 4, computed here from what came over the wire, apart from the code that signs.
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface S3Account {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Server {
  /** `host:port`: an endpoint= */
  readonly endpoint: string;
  /** Of the one bucket. */
  readonly objects: ReadonlyMap<string, Buffer>;
  /** The only account from now on: keys were rotated. */
  rotate(account: S3Account): void;
  /** From now on uploads are answered so; null: they are taken. */
  refuseUploads(answer: { readonly status: number; readonly code: string } | null): void;
  /** Method, key and status of all requests so far. */
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  readonly bucket: string;
  readonly region: string;
  readonly account: S3Account;
}

const hash = (data: string): string => createHash('sha256').update(data).digest('hex');
const mac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();

const authorizationForm =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

interface Expected {
  readonly account: S3Account;
  readonly region: string;
}

/** The error's code, or null where the signature holds. */
const signatureFault = (request: IncomingMessage, { account, region }: Expected): string | null => {
  const [, keyId, day = '', where, signedNames = '', given] =
    authorizationForm.exec(request.headers.authorization ?? '') ?? [];
  if (given === undefined) return 'AccessDenied';
  if (keyId !== account.accessKeyId) return 'InvalidAccessKeyId';
  if (where !== region) return 'AuthorizationHeaderMalformed';
  const header = (name: string): string => String(request.headers[name] ?? '').trim();
  if (header('x-amz-security-token') !== (account.sessionToken ?? '')) return 'InvalidToken';
  const names = signedNames.split(';');
  const wanted = ['host', 'x-amz-content-sha256', 'x-amz-date'];
  if (account.sessionToken !== undefined) wanted.push('x-amz-security-token');
  if (wanted.some((name) => !names.includes(name))) return 'SignatureDoesNotMatch';
  const stamp = header('x-amz-date');
  const atMs = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(atMs - Date.now()) < 15 * 60_000) || !stamp.startsWith(day)) return 'RequestTimeTooSkewed';
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const lines = [request.method, path, query, ...names.map((name) => `${name}:${header(name)}`), ''];
  const canonical = [...lines, signedNames, header('x-amz-content-sha256')].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  let key: string | Buffer = `AWS4${account.secretAccessKey}`;
  for (const part of [day, region, 's3', 'aws4_request']) key = mac(key, part);
  const text = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${hash(canonical)}`;
  return mac(key, text).toString('hex') === given ? null : 'SignatureDoesNotMatch';
};

const readAll = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
};

const statusOf: Readonly<Record<string, number>> = {
  NoSuchKey: 404,
  NoSuchBucket: 404,
  MethodNotAllowed: 405,
};

export const startS3Server = async ({ bucket, region, account }: S3ServerOptions): Promise<S3Server> => {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  let current = account;
  let refusal: { readonly status: number; readonly code: string } | null = null;

  const fail = (response: ServerResponse, code: string, status = statusOf[code] ?? 403): void => {
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>`);
  };

  const answer = (request: IncomingMessage, response: ServerResponse, body: Buffer): void => {
    const fault = signatureFault(request, { account: current, region });
    if (fault !== null) return fail(response, fault);
    const [, inBucket, ...rest] = decodeURIComponent(request.url ?? '').split('/');
    const key = rest.join('/');
    if (inBucket !== bucket) return fail(response, 'NoSuchBucket');
    const found = objects.get(key);
    switch (request.method ?? '') {
      case 'PUT':
        if (refusal !== null) return fail(response, refusal.code, refusal.status);
        // Without its length S3 takes no upload.
        if (request.headers['content-length'] === undefined)
          return fail(response, 'MissingContentLength', 411);
        objects.set(key, body);
        response.writeHead(200).end();
        return;
      case 'GET':
      case 'HEAD':
        if (found === undefined) return fail(response, 'NoSuchKey');
        response.writeHead(200, { 'content-length': found.length });
        response.end(request.method === 'GET' ? found : undefined);
        return;
      default:
        return fail(response, 'MethodNotAllowed');
    }
  };

  const server = createServer((request, response) => {
    void readAll(request).then(
      (body) => {
        answer(request, response, body);
        requests.push(`${request.method} ${request.url} ${response.statusCode}`);
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    endpoint: `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    objects,
    requests,
    rotate: (next) => {
      current = next;
    },
    refuseUploads: (next) => {
      refusal = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
