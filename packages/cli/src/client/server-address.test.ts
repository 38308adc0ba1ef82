import { describe, expect, it } from 'vitest';
import { serverAddress } from './server-address.ts';

describe('the address of the server', () => {
  it('is what was named, and nothing else', () => {
    const env = { EKA_CI_SOCKET: '/e/socket', XDG_RUNTIME_DIR: '/run/user/1', HOME: '/home/ada' };
    expect(serverAddress({ server: 'https://ci.example.org' }, env)).toEqual({
      kind: 'url',
      url: 'https://ci.example.org',
    });
    expect(serverAddress({ socket: './s' }, env)).toEqual({ kind: 'sockets', paths: ['./s'] });
    expect(serverAddress({}, env)).toEqual({ kind: 'sockets', paths: ['/e/socket'] });
  });

  it('is else where a server puts its socket by default: of the user first, then of the system', () => {
    const system = '/run/eka-ci/ekaci.socket';
    expect(serverAddress({}, { EKA_CI_SOCKET: '', XDG_RUNTIME_DIR: '/run/user/1', HOME: '/h' })).toEqual({
      kind: 'sockets',
      paths: ['/run/user/1/ekaci.socket', '/h/.local/state/ekaci/run/ekaci.socket', system],
    });
    expect(serverAddress({}, { XDG_RUNTIME_DIR: 'relative', XDG_STATE_HOME: '/s', HOME: '/h' })).toEqual({
      kind: 'sockets',
      paths: ['/s/ekaci/run/ekaci.socket', system],
    });
  });
});
