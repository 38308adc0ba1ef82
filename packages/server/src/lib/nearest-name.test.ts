import { describe, expect, it } from 'vitest';
import { nearestNames } from './nearest-name.ts';

describe('nearestNames', () => {
  it('finds slips of the pen, nearest first, and nothing where nothing is near', () => {
    expect(nearestNames('mian', ['main', 'master', 'man'])).toEqual(['main', 'man']);
    expect(nearestNames('Main', ['main'])).toEqual(['main']);
    expect(nearestNames('main', ['origin/main', 'release'])).toEqual(['origin/main']);
    expect(nearestNames('feature', ['main', 'release-24.05'])).toEqual([]);
    expect(nearestNames('', ['a'])).toEqual([]);
  });
});
