/** Reading files that lie where others may have put something else in their place. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** Far above any ticket cache, bytes. */
const MAX_FILE = 1 << 26;
/** Device 1:3 of Linux, by which people say that there shall be no file. */
const DEV_NULL = 0x103;

/**
 * A whole file, links followed. A pipe that nobody writes into would be waited for, and a device without an end be read
 * until the memory is full.
 * @returns the bytes, which the caller wipes
 * @throws Node's error; Error for what is no plain file or above 64 MiB
 */
export async function readPlainFile(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (found.isCharacterDevice() && found.rdev === DEV_NULL) return Buffer.alloc(0);
    if (!found.isFile()) throw new Error('it is no plain file');
    if (found.size > MAX_FILE) throw new Error(`it has ${found.size} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
