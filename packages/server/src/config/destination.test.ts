import fc from 'fast-check';
import { expect, it } from 'vitest';
import { destinationFault } from './destination.ts';

const spelled = (address: string) => {
  const bytes = address.split('.').map(Number);
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  return [
    ...[address, `${address}.`, String(number), `0x${number.toString(16)}`, `0${number.toString(8)}`],
    ...[`${a}.${number % 2 ** 24}`, `${a}.${b}.${number % 2 ** 16}`],
    bytes.map((byte) => `0${byte.toString(8)}`).join('.'),
    bytes.map((byte) => `0X${byte.toString(16)}`).join('.'),
    ...[
      `[::ffff:${address}]`,
      `[::ffff:${hex}]`,
      `[0:0:0:0:0:FFFF:${hex}]`,
      `[64:ff9b::${address}]`,
      `[::${hex}]`,
      `[2002:${hex}::]`,
    ],
  ];
};

const refusedAddress = fc
  .tuple(
    fc.constantFrom<readonly number[]>(
      [10],
      [127],
      [0],
      [192, 168],
      [169, 254],
      [172, 16],
      [172, 31],
      [100, 64],
      [100, 127],
      [224],
      [239],
      [240],
    ),
    fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
  )
  .map(([start, rest]) => [...start, ...rest].slice(0, 4).join('.'));

/** Groups of an IPv6 address of a kind that is refused, all eight of them. */
const refusedGroups = fc
  .tuple(
    fc.constantFrom<readonly number[]>(
      ...[[0xfc00], [0xfd00, 0xec2], [0xfe80], [0xfebf], [0xfec0], [0xff02], [0xffff], [0x4000], [0x5f00]],
      ...[
        [0x100, 0, 0, 0],
        [0x2001, 0xdb8],
        [0x2001, 0],
        [0x64, 0xff9b, 1],
        [0x2002, 0x7f00],
        [0x2002, 0xa00],
      ],
      ...[
        [0, 0, 0, 0, 0, 0xffff, 0x7f00],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0xffff, 0],
        [0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe],
      ],
    ),
    fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }),
  )
  .map(([start, rest]) => [...start, ...rest].slice(0, 8));

const spelledIpv6 = (groups: readonly number[]) => {
  const whole = groups.map((group) => group.toString(16)).join(':');
  const padded = groups.map((group) => group.toString(16).padStart(4, '0')).join(':');
  const [high = 0, low = 0] = groups.slice(6);
  const dotted = `${groups
    .slice(0, 6)
    .map((group) => group.toString(16))
    .join(':')}:${[high >> 8, high & 255, low >> 8, low & 255].join('.')}`;
  const short = whole.replace(/(?:^|:)0(?::0)+(?::|$)/, '::');
  return [whole, whole.toUpperCase(), padded, dotted, short].map((one) => `[${one}]`);
};

it('no address of a refused kind gets through, however it is spelled and wherever it stands', () => {
  const places = fc.constantFrom(
    (host: string) => `https://${host}/x`,
    (host: string) => `http://${host}:8080`,
    (host: string) => `ssh://nix@${host}`,
    (host: string) => `ssh-ng://${host}`,
    (host: string) => `s3://bucket?endpoint=${host}`,
    (host: string) => `s3://bucket?region=a&endpoint=${encodeURIComponent(`https://${host}:9000`)}`,
  );
  fc.assert(
    fc.property(
      fc.oneof(refusedAddress.map(spelled), refusedGroups.map(spelledIpv6)),
      places,
      (hosts, place) => {
        for (const host of hosts)
          expect([place(host), destinationFault(place(host), false)]).toEqual([
            place(host),
            expect.any(String),
          ]);
      },
    ),
    { numRuns: 500 },
  );
});

it('a public address gets through where its spelling leaves no doubt', () => {
  for (const host of [
    ...spelledIpv6([0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111]),
    '1.1.1.1',
    '[64:ff9b::1.1.1.1]',
  ]) {
    expect([host, destinationFault(`https://${host}/`, false)]).toEqual([host, null]);
  }
});
