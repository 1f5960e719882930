/** Chooses the primary cache of a collection. */
import { AdError } from '../../errors.ts';
import { UsageError } from '../../flags.ts';
import { cacheOf, openCaches } from '../../krb5/files/ccache-collection.ts';
import { parseCacheName } from '../../krb5/files/ccache-name.ts';
import { type Command, text } from '../command.ts';
import { loadConfig } from './config.ts';
import { caches, principalOf } from './session.ts';

export const kswitch: Command = {
  name: 'kswitch',
  summary: 'choose which cache of a collection is in use',
  description: 'Makes a cache of a DIR: collection the one that programs use.',
  flags: {
    cache: {
      type: 'string',
      short: 'c',
      value: 'NAME',
      completes: 'file',
      help: 'this cache, such as DIR::/run/krb5/tktA1B2C3',
    },
    principal: { type: 'string', short: 'p', value: 'PRINCIPAL', help: 'the cache of this principal' },
  },
  async run(parsed, terminal) {
    const [name, who] = [text(parsed, 'cache'), text(parsed, 'principal')];
    if ((name === undefined) === (who === undefined)) throw new UsageError('one of -c and -p is required');
    const config = await loadConfig(terminal);
    if (name !== undefined) {
      const parsedName = parseCacheName(name);
      const collection =
        parsedName.type === 'DIR'
          ? openCaches({ type: 'DIR', directory: parsedName.directory })
          : openCaches(parsedName);
      await collection.switchTo(await openCaches(parsedName).primary());
      return;
    }
    const collection = caches(undefined, config, terminal);
    const cache = await cacheOf(collection, principalOf(who!, config));
    if (!cache) throw new AdError('NOT_FOUND', `there is no ticket cache of ${who} in the collection`);
    if (collection.switchable) await collection.switchTo(cache);
  },
};
