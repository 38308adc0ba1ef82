import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressClass, classifyAddress } from './address-class.ts';

describe('classifyAddress', () => {
  it.each<[string, AddressClass]>([
    ['1.1.1.1', 'public'],
    ['172.15.255.255', 'public'],
    ['172.16.0.0', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['100.63.255.255', 'public'],
    ['100.64.0.0', 'carrier-grade NAT'],
    ['100.100.100.200', 'carrier-grade NAT'],
    ['100.128.0.0', 'public'],
    ['169.254.169.254', 'link-local'],
    ['168.63.129.16', 'cloud metadata'],
    ['::ffff:168.63.129.16', 'cloud metadata'],
    ['127.255.255.255', 'loopback'],
    ['0.0.0.1', 'unspecified'],
    ['255.255.255.255', 'reserved'],
    ['239.1.2.3', 'multicast'],
    ['192.0.0.192', 'reserved'],
    ['2606:4700:4700::1111', 'public'],
    ['::1', 'loopback'],
    ['::', 'unspecified'],
    ['fd00:ec2::254', 'unique-local'],
    ['fe80::1%eth0', 'link-local'],
    ['fec0::1', 'private'],
    ['ff02::1', 'multicast'],
    ['::7f00:1', 'reserved'],
    ['::ffff:0:7f00:1', 'reserved'],
    ['::ffff:1.1.1.1', 'public'],
    ['64:ff9b::1.1.1.1', 'public'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['64:ff9b:1::1.1.1.1', 'reserved'],
    ['2002:0101:0101::1', 'public'],
    ['2002:7f00:1::1', 'loopback'],
    ['2001:0:101:101::1', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['4000::1', 'reserved'],
    ['127.1', 'invalid'],
    ['0x7f000001', 'invalid'],
    ['example.com', 'invalid'],
    ['', 'invalid'],
  ])('%s is %s', (address, expected) => expect(classifyAddress(address)).toBe(expected));

  it('judges an IPv4 address alike in whatever carries it', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        const plain = classifyAddress(address);
        for (const carrier of [`::ffff:${address}`, `::ffff:${hex}`, `64:ff9b::${hex}`, `2002:${hex}::1`]) {
          expect(classifyAddress(carrier)).toBe(plain);
        }
        expect(classifyAddress(`::${hex}`)).not.toBe('public');
      }),
    );
  });
});
