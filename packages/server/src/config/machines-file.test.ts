import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMachinesFile } from './machines-file.ts';

const hostKey = Buffer.from('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== root@far\n').toString('base64');

const plain = {
  user: null,
  port: null,
  identityFile: null,
  hostKey: null,
  systems: null,
  maxJobs: 1,
  speed: 1,
  features: [],
  mandatoryFeatures: [],
  compress: false,
  remoteProgram: null,
  remoteStore: null,
};

const problemsOf = (text: string): string[] => parseMachinesFile(text).problems.map(({ message }) => message);

describe("Nix's list of machines", () => {
  it('is read in all its fields, and in few of them', () => {
    const { machines, problems, notes } = parseMachinesFile(
      [
        '# the farm',
        `ssh-ng://ci@far:2222 x86_64-linux,i686-linux /etc/nix/id 16 2.5 kvm,big big ${hostKey}  # fast`,
        'near',
        '',
        '  10.0.0.7 - - - - -\t- -  ;  ssh://[fe80::1%eth0]:22 aarch64-linux  ',
      ].join('\n'),
    );
    expect(problems).toEqual([]);
    expect(machines).toEqual([
      {
        ...plain,
        name: 'far:2222',
        host: 'far',
        user: 'ci',
        port: 2222,
        identityFile: '/etc/nix/id',
        hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==',
        systems: ['x86_64-linux', 'i686-linux'],
        maxJobs: 16,
        speed: 2.5,
        features: ['kvm', 'big'],
        mandatoryFeatures: ['big'],
      },
      { ...plain, name: 'near', host: 'near' },
      { ...plain, name: '10.0.0.7', host: '10.0.0.7' },
      { ...plain, name: '[fe80::1%eth0]:22', host: 'fe80::1%eth0', port: 22, systems: ['aarch64-linux'] },
    ]);
    // Only where somebody wrote the scheme.
    expect(notes.map(({ line }) => line)).toEqual([5]);
  });

  it('takes settings in an address; what the fields say wins', () => {
    const address = `ssh-ng://far?ssh-key=/a%20b&compress=true&remote-program=/opt/nix%2Fbin/nix-daemon%20-v&remote-store=local%3Froot%3D/r&max-connections=3&base64-ssh-public-host-key=${encodeURIComponent(hostKey)}`;
    expect(parseMachinesFile(`${address}\n${address} - /c`).machines).toMatchObject([
      {
        identityFile: '/a b',
        compress: true,
        remoteProgram: ['/opt/nix/bin/nix-daemon', '-v'],
        remoteStore: 'local?root=/r',
        hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==',
      },
      { identityFile: '/c' },
    ]);
  });

  it('gives each a name of its own', () => {
    const { machines } = parseMachinesFile(
      'far\nroot@far x86_64-darwin\nssh-ng://local\nfar\nssh://far:22\n',
    );
    expect(machines.map(({ name }) => name)).toEqual(['far', 'far#2', 'local#2', 'far#3', 'far:22']);
  });

  it.each([
    ['s3://bucket', /^line 2 has the address "s3:\/\/bucket".*ssh-ng:\/\/HOST/],
    ['daemon', /ssh-ng:\/\/HOST/],
    ['/nix/other', /ssh-ng:\/\/HOST/],
    ['ssh-ng://-oProxyCommand=evil', /for a host/],
    ['ssh-ng://-l@far', /the user "-l"/],
    ['ssh-ng://', /for a host/],
    ['fe80::1', /in brackets/],
    ['far:0', /port "0"/],
    ['far:65536', /port/],
    ['far x86_64-linux - none', /number of jobs \(field 4\)/],
    ['far x86_64-linux - 0', /never gets one/],
    ['far x86_64-linux - -1', /number of jobs/],
    ['far - - 1 0', /speed \(field 5\)/],
    ['far - - 1 fast', /speed/],
    ['far "x86_64-linux"', /system/],
    ['far - - - - - - ??', /base 64/],
    [`far - - - - - - ${Buffer.from('a b c').toString('base64')}`, /host key that is none/],
    [
      `far - - - - - - ${Buffer.from('ssh-ed25519 AAAA\n@cert-authority * ssh-rsa B').toString('base64')}`,
      /host key that is none/,
    ],
    ['far - - - - kvm - - extra', /9 fields.*commas/],
    ['far - - - - kvm, big', /blank in its features/],
    ['@/etc/nix/more', /another file/],
    ['ssh-ng://far?store=/x', /setting "store".*ssh-key/],
    ['ssh-ng://far?compress=maybe', /true or false/],
    ['ssh://far?remote-program=nix-store', /ssh-ng/],
  ])('says what is wrong with %s, and keeps the other lines', (line, message) => {
    const { machines, problems } = parseMachinesFile(`good\n${line}\nbetter`);
    expect(machines.map(({ name }) => name)).toEqual(['good', 'better']);
    expect(problems).toEqual([{ line: 2, message: expect.stringMatching(message) as string }]);
  });

  it('stays upright whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (noise, more) => {
        const { machines, problems } = parseMachinesFile(`${noise}\nfar ${more}\n${more}://${noise}`);
        for (const { host, user, name } of machines) {
          for (const word of [host, user ?? '', name]) expect(word).not.toMatch(/^-|[\s\0]/);
        }
        for (const { line } of problems) expect(line).toBeGreaterThan(0);
        expect(new Set(machines.map(({ name }) => name)).size).toBe(machines.length);
      }),
    );
    const many = 'far\n'.repeat(2000);
    expect(parseMachinesFile(many).machines).toHaveLength(1000);
    expect(problemsOf(many)).toHaveLength(1000);
  });
});
