// What we take of node:http. An ES import reads every export of a module, and one of these is Node's client for
// WebSockets, which is then loaded with a whole HTTP client: 60 ms and 13 MiB of every start.
export const { createServer, ServerResponse, STATUS_CODES } = process.getBuiltinModule('node:http');
