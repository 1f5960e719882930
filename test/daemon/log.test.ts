import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createLog, fileSink, isJournal, type LogFields } from '../../src/daemon/log.ts';
import { AdError } from '../../src/errors.ts';
import { keptLog, scratchDirectory } from './fake.ts';

const now = (): Date => new Date('2026-11-23T01:02:03.456Z');

const unexpected = (e: unknown): never => assert.fail(String(e));

function human(): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'info', now, sinks: [{ write: (l) => lines.push(l), format: 'human' }] }) };
}

describe('log', () => {
  test('writes JSON lines', () => {
    const lines: string[] = [];
    const log = createLog({ level: 'info', now, sinks: [{ write: (l) => lines.push(l), format: 'json' }] });
    log.info('call done', { lease: 'abc', ms: 5 });
    assert.equal(
      lines[0],
      '{"time":"2026-11-23T01:02:03.456Z","level":"info","text":"call done","ms":5,"lease":"abc"}\n',
    );
  });

  test('writes lines for people', () => {
    const { lines, log } = human();
    log.warn('call failed', { user: 'a b', status: 'UNAVAILABLE' });
    assert.equal(lines[0], '2026-11-23 01:02:03.456 WARN  call failed status=UNAVAILABLE user="a b"\n');
  });

  test('does not let a value command a terminal', () => {
    const { lines, log } = human();
    log.info('x', { account: 'a\u001b[2Jb\nc' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be there
    assert.doesNotMatch(lines[0]!.slice(0, -1), /[\u0000-\u001f]/);
  });

  test('leaves out what is below its level', () => {
    const { lines, log } = human();
    log.debug('x');
    assert.deepEqual(lines, []);
  });

  test('writes no field it does not know and no object', () => {
    const { lines, log } = keptLog();
    const fields = { password: 'hunter2', request: { password: 'hunter2' }, lease: 'l' } as unknown as LogFields;
    log.info('x', fields);
    assert.ok(lines[0]!.includes('"lease":"l"') && !lines[0]!.includes('hunter2'));
  });

  test('writes the message and code of an error, not its details', () => {
    const { lines, log } = keptLog();
    log.error('x', { error: new AdError('TIMEOUT', 'too late', { secret: 'hunter2' }) });
    assert.match(lines[0]!, /"error":"too late","code":"TIMEOUT"/);
    assert.ok(!lines[0]!.includes('hunter2'));
  });
});

describe('log file', () => {
  test('is made with its directory', async (t) => {
    const directory = join(await scratchDirectory(t), 'a/b');
    fileSink(directory, unexpected)('line\n');
    assert.equal(await readFile(join(directory, 'credentials-fetcher.log'), 'utf8'), 'line\n');
  });

  test('is appended to', async (t) => {
    const directory = await scratchDirectory(t);
    fileSink(directory, unexpected)('one\n');
    fileSink(directory, unexpected)('two\n');
    assert.equal(await readFile(join(directory, 'credentials-fetcher.log'), 'utf8'), 'one\ntwo\n');
  });

  test('is moved aside when it is full', async (t) => {
    const directory = await scratchDirectory(t);
    const write = fileSink(directory, unexpected, 10);
    for (const line of ['12345678\n', 'abc\n', 'de\n']) write(line);
    assert.equal(await readFile(join(directory, 'credentials-fetcher.log.1'), 'utf8'), '12345678\n');
    assert.equal(await readFile(join(directory, 'credentials-fetcher.log'), 'utf8'), 'abc\nde\n');
  });

  test('that cannot be written is reported once and done without', async (t) => {
    const directory = await scratchDirectory(t);
    await writeFile(join(directory, 'file'), '');
    const reports: unknown[] = [];
    const write = fileSink(join(directory, 'file'), (e) => reports.push(e));
    write('a\n');
    write('b\n');
    assert.equal(reports.length, 1);
  });

  test('is not for everybody to read', async (t) => {
    const directory = join(await scratchDirectory(t), 'l');
    await mkdir(directory);
    fileSink(directory, unexpected)('x\n');
    assert.equal((await stat(join(directory, 'credentials-fetcher.log'))).mode & 0o007, 0);
  });
});

describe('the journal', () => {
  test('gets a priority before each line', () => {
    const written: string[] = [];
    const log = createLog({ level: 'debug', sinks: [{ write: (line) => written.push(line), format: 'journal' }] });
    log.error('e');
    log.warn('w');
    log.info('i');
    log.debug('d');
    assert.deepEqual(
      written.map((line) => [line.slice(0, 3), JSON.parse(line.slice(3)).text]),
      [
        ['<3>', 'e'],
        ['<4>', 'w'],
        ['<6>', 'i'],
        ['<7>', 'd'],
      ],
    );
  });

  test('is known by the file that systemd names', () => {
    const { dev, ino } = fstatSync(2, { bigint: true });
    assert.equal(isJournal(`${dev}:${ino}`), true);
    assert.equal(isJournal(`${dev}:${ino + 1n}`), false);
    assert.equal(isJournal(undefined), false);
    assert.equal(isJournal('nonsense'), false);
  });
});
