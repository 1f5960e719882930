import assert from 'node:assert/strict';
import { chmod, chown, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ConfigError, type Configured, parseCommand } from '../../../src/daemon/config/config.ts';
import { MAX_SETTINGS_FILE } from '../../../src/daemon/config/files.ts';
import { readSettingsFile, writerOf } from '../../../src/daemon/config/settings-file.ts';
import { mustRun, needs } from '../../support/programs.ts';
import { scratchDirectory } from '../fake.ts';

const settings = 'CF_DIR_MODE = 0750\n';
const asRoot = process.getuid?.() === 0 ? false : 'needs root, to make files of other users';

describe('a file of settings', () => {
  test('is read through a link; a missing one is none', async (t) => {
    const directory = await scratchDirectory(t);
    await writeFile(join(directory, 'file'), settings);
    await symlink('file', join(directory, 'link'));
    assert.equal(readSettingsFile(join(directory, 'link')), settings);
    assert.equal(readSettingsFile(join(directory, 'no', 'file')), undefined);
    assert.equal(readSettingsFile('/dev/null'), '');
  });

  test('is no pipe, which nobody might ever write to', { skip: needs('mkfifo') }, async (t) => {
    const path = join(await scratchDirectory(t), 'pipe');
    await mustRun('mkfifo', [path]);
    assert.throws(() => readSettingsFile(path), /no plain file/);
  });

  test('is no directory and no device', async (t) => {
    const directory = await scratchDirectory(t);
    assert.throws(() => readSettingsFile(directory), /a directory/);
    assert.throws(() => readSettingsFile('/dev/zero'), /no plain file/);
  });

  test('is read no further than settings can go', async (t) => {
    const path = join(await scratchDirectory(t), 'large');
    await writeFile(path, '');
    await truncate(path, 3 * 1024 ** 3);
    assert.ok(readSettingsFile(path)!.length > MAX_SETTINGS_FILE);
    assert.throws(() => parseCommand(['--config', path], {}), /has more than/);
  });

  test('that everybody may write is refused, that its group may write is warned of', async (t) => {
    const path = join(await scratchDirectory(t), 'conf');
    await writeFile(path, settings);
    await chmod(path, 0o646);
    assert.throws(() => parseCommand(['--config', path], {}), ConfigError);
    assert.throws(() => parseCommand(['--ecs-config', path], {}), /everybody: chmod o-w/);
    await chmod(path, 0o664);
    const { config, warnings } = parseCommand(['--config', path], {}) as Configured;
    assert.equal(config.files.directory.mode, 0o750);
    assert.match(warnings.join(), /conf can be written by its group/);
    await chmod(path, 0o644);
    assert.equal(writerOf(path), undefined);
  });

  test('of another user than root and its own is warned of', { skip: asRoot }, async (t) => {
    const path = join(await scratchDirectory(t), 'conf');
    await writeFile(path, settings, { mode: 0o644 });
    assert.equal(writerOf(path), undefined);
    await chown(path, 1654, 1654);
    assert.equal(writerOf(path), 'its owner');
  });
});
