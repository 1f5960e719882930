/** The version of this program, from package.json: put in by the bundler, read from beside the source otherwise. */
import { readFileSync } from 'node:fs';

declare const BUNDLED_VERSION: string | undefined;

export function version(): string {
  if (typeof BUNDLED_VERSION === 'string') return BUNDLED_VERSION;
  // src/ and dist/lib/ are one and two levels below it.
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version?: unknown };
      if (typeof found.version === 'string') return found.version;
    } catch {
      // The other place, then.
    }
  }
  return 'unknown';
}
