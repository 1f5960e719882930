import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import { AdError } from '../../../src/errors.ts';
import { fileBefore, writeFileAtomic } from '../../../src/krb5/files/atomic.ts';

test('a device is no file before another one, through links too; a file and nothing are', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'atomic-'));
  t.after(() => rm(directory, { recursive: true }));
  const link = join(directory, 'link');
  assert.equal(await fileBefore(link), undefined);
  await symlink('/dev/null', link);
  await assert.rejects(fileBefore(link), { code: 'FILE' });
  await writeFile(join(directory, 'file'), 'there');
  assert.equal((await fileBefore(join(directory, 'file')))?.size, 5);
});

describe('writeFileAtomic', () => {
  let top: string;
  let directory: string;
  let path: string;
  let count = 0;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), 'atomic-'));
  });
  beforeEach(async () => {
    directory = join(top, String(count++));
    await mkdir(directory);
    path = join(directory, 'file');
  });
  after(() => rm(top, { recursive: true, force: true }));

  const permissions = async () => (await stat(path)).mode & 0o7777;

  test('writes a new file that only its owner may read', async () => {
    await writeFileAtomic(path, utf8('secret'));
    assert.equal(await readFile(path, 'utf8'), 'secret');
    assert.equal(await permissions(), 0o600);
    assert.deepEqual(await readdir(directory), ['file']);
  });

  for (const umask of [0o000, 0o077, 0o777]) {
    test(`gives the mode asked for under umask ${umask.toString(8)}`, async () => {
      const old = process.umask(umask);
      try {
        await writeFileAtomic(path, utf8('x'));
        assert.equal(await permissions(), 0o600);
        await writeFileAtomic(path, utf8('x'), { mode: 0o640 });
        assert.equal(await permissions(), 0o640);
      } finally {
        process.umask(old);
      }
    });
  }

  test('replaces a file without keeping its mode', async () => {
    await writeFile(path, 'old', { mode: 0o666 });
    await writeFileAtomic(path, utf8('new'));
    assert.equal(await readFile(path, 'utf8'), 'new');
    assert.equal(await permissions(), 0o600);
  });

  test('leaves the old file whole for those who have it open', async () => {
    await writeFile(path, 'old');
    const reader = await open(path, constants.O_RDONLY);
    try {
      await writeFileAtomic(path, utf8('new'));
      assert.equal(await reader.readFile('utf8'), 'old');
    } finally {
      await reader.close();
    }
  });

  test('keeps the inode of the directory', async () => {
    const { ino } = await stat(directory);
    await writeFileAtomic(path, utf8('x'));
    assert.equal((await stat(directory)).ino, ino);
  });

  test('replaces a symbolic link and does not follow it', async () => {
    const target = join(directory, 'target');
    await writeFile(target, 'untouched');
    await symlink(target, path);
    await writeFileAtomic(path, utf8('new'));
    assert.equal((await lstat(path)).isFile(), true);
    assert.equal(await readFile(target, 'utf8'), 'untouched');
  });

  test('writes many at once, one of which stays', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `text ${i}`);
    await Promise.all(texts.map((text) => writeFileAtomic(path, utf8(text))));
    assert.ok(texts.includes(await readFile(path, 'utf8')));
    assert.deepEqual(await readdir(directory), ['file']);
  });

  test('leaves nothing behind when the rename fails', async () => {
    await mkdir(path);
    await assert.rejects(
      writeFileAtomic(path, utf8('x')),
      (e) => e instanceof AdError && e.code === 'FILE' && e.details.path === path && e.details.errno === 'EISDIR',
    );
    assert.deepEqual(await readdir(directory), ['file']);
  });

  test('says which directory is missing', async () => {
    await assert.rejects(
      writeFileAtomic(join(directory, 'none', 'file'), utf8('x')),
      (e) => e instanceof AdError && e.code === 'FILE' && e.details.errno === 'ENOENT',
    );
  });

  test('gives the file to another owner', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
    await writeFileAtomic(path, utf8('x'), { uid: 12345, gid: 54321, mode: 0o440 });
    const { uid, gid, mode } = await stat(path);
    assert.deepEqual([uid, gid, mode & 0o7777], [12345, 54321, 0o440]);
  });

  test('leaves nothing behind when the owner cannot be given', async () => {
    const root = process.getuid?.() === 0;
    if (root) {
      // Root may give files away: the test goes on as nobody.
      await chmod(directory, 0o777);
      process.seteuid!(65_534);
    }
    try {
      await assert.rejects(writeFileAtomic(path, utf8('x'), { uid: 0 }), { code: 'FILE' });
    } finally {
      if (root) process.seteuid!(0);
    }
    assert.deepEqual(await readdir(directory), []);
  });
});
