// AWS Secrets Manager and STS, as much of them as is asked. Both take only what is signed with a key that they know.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
import { createHash, createHmac } from 'node:crypto';
import { type Asked, type Given, type HttpDouble, startHttpDouble } from './http-double.ts';

export interface AwsState {
  /** Secret keys by their ids. */
  readonly keys: Map<string, string>;
  /** Ids that are known and may do nothing. */
  readonly powerless: Set<string>;
  /** By name; bytes are a binary secret. */
  readonly secrets: Map<string, string | Uint8Array>;
  /** Names that are being deleted. */
  readonly leaving: Set<string>;
  /** What assuming a role gives; by the role's ARN. */
  readonly roles: Map<
    string,
    { readonly id: string; readonly secret: string; readonly token: string; readonly endsAtMs: number }
  >;
  busy: number;
}

export type AwsDouble = HttpDouble & { readonly state: AwsState };

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const authorizationForm =
  /^AWS4-HMAC-SHA256 Credential=([\w-]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;

interface Signer {
  readonly id: string;
  readonly region: string;
}

/** Null where the signature is not that of a known key over this very request. */
const signerOf = (keys: AwsState['keys'], { method, target, headers, body }: Asked): Signer | null => {
  const found = authorizationForm.exec(headers.authorization ?? '');
  const [, id = '', day = '', region = '', service = '', signed = '', signature = ''] = found ?? [];
  const secret = keys.get(id);
  const time = String(headers['x-amz-date'] ?? '');
  const names = signed.split(';');
  if (secret === undefined || !/^\d{8}T\d{6}Z$/.test(time) || !time.startsWith(day)) return null;
  if (!names.includes('host') || names.join() !== names.toSorted().join()) return null;
  const lines = names.map((name) => `${name}:${String(headers[name] ?? '').trim()}\n`).join('');
  const [path = '', query = ''] = target.split('?');
  const canonical = [method, path, query, lines, signed, sha256(body)].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return hmac(key, toSign).toString('hex') === signature ? { id, region } : null;
};

const refuse = (type: string, status = 400): Given => ({
  status,
  headers: { 'x-amzn-errortype': type, 'content-type': 'application/x-amz-json-1.1' },
  body: { __type: type, message: `canary: ${type}`, Message: `canary: ${type}` },
});

const giveSecret = (state: AwsState, { body }: Asked, region: string): Given => {
  const { SecretId: name } = JSON.parse(body) as { readonly SecretId: string };
  const secret = state.secrets.get(name);
  if (state.leaving.has(name)) return refuse('InvalidRequestException');
  if (secret === undefined) return refuse('ResourceNotFoundException');
  const written =
    typeof secret === 'string'
      ? { SecretString: secret }
      : { SecretBinary: Buffer.from(secret).toString('base64') };
  const arn = `arn:aws:secretsmanager:${region}:123456789012:secret:${name}-AbCdEf`;
  return { status: 200, body: { ARN: arn, Name: name, VersionId: 'v', ...written } };
};

const assumeRole = (state: AwsState, asked: URLSearchParams): Given => {
  const role = state.roles.get(asked.get('RoleArn') ?? '');
  const headers = { 'content-type': 'text/xml' };
  if (role === undefined) {
    const error = '<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>canary</Message></Error>';
    return { status: 403, headers, body: `<ErrorResponse>${error}<RequestId>r</RequestId></ErrorResponse>` };
  }
  const keys = [
    `<AccessKeyId>${role.id}</AccessKeyId><SecretAccessKey>${role.secret}</SecretAccessKey>`,
    `<SessionToken>${role.token}</SessionToken><Expiration>${new Date(role.endsAtMs).toISOString()}</Expiration>`,
  ].join('');
  const user =
    '<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/a/b</Arn></AssumedRoleUser>';
  const result = `<AssumeRoleResult><Credentials>${keys}</Credentials>${user}</AssumeRoleResult>`;
  const body = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${result}</AssumeRoleResponse>`;
  return { status: 200, headers, body };
};

const answer = (state: AwsState, asked: Asked): Given => {
  if (state.busy > 0) {
    state.busy -= 1;
    return refuse('ThrottlingException');
  }
  const signer = signerOf(state.keys, asked);
  if (signer === null) return refuse('UnrecognizedClientException');
  if (state.powerless.has(signer.id)) return refuse('AccessDeniedException');
  if (asked.headers['x-amz-target'] === 'secretsmanager.GetSecretValue') {
    return giveSecret(state, asked, signer.region);
  }
  const query = new URLSearchParams(asked.body);
  return query.get('Action') === 'AssumeRole'
    ? assumeRole(state, query)
    : refuse('UnknownOperationException');
};

export const startAwsDouble = async (): Promise<AwsDouble> => {
  const state: AwsState = {
    keys: new Map(),
    powerless: new Set(),
    secrets: new Map(),
    leaving: new Set(),
    roles: new Map(),
    busy: 0,
  };
  const double = await startHttpDouble((asked) => answer(state, asked));
  return Object.assign(double, { state });
};
