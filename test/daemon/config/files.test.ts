import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseSettingsFile } from '../../../src/daemon/config/files.ts';

const pairs = (text: string) => parseSettingsFile(text).lines.map(({ key, value }) => [key, value]);

describe('a file of settings', () => {
  test('is read with blanks, comments, quotes, a byte order mark and Windows line ends', () => {
    const text = '\uFEFF# comment\r\n\r\n A = 1 \r\nB="two words"\r\nC = \'it\'\r\n  # D = 4\r\nE=';
    assert.deepEqual(pairs(text), [
      ['A', '1'],
      ['B', 'two words'],
      ['C', 'it'],
      ['E', ''],
    ]);
  });

  test('splits at the first equals sign', () => {
    assert.deepEqual(pairs('OU=OU=Apps,DC=x'), [['OU', 'OU=Apps,DC=x']]);
  });

  test('keeps a quote that has no fellow, and what looks like a comment behind a value', () => {
    assert.deepEqual(pairs('A="x\nB=y # z'), [
      ['A', '"x'],
      ['B', 'y # z'],
    ]);
  });

  test('goes on after a line that is none, and numbers lines from one', () => {
    const { lines, strange } = parseSettingsFile('export\nA=1\n=x\nB=2');
    assert.deepEqual(
      [lines.map((l) => l.line), strange],
      [
        [2, 4],
        [1, 3],
      ],
    );
  });

  test('never fails', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseSettingsFile(text)));
  });
});
