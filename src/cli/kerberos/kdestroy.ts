/** Removes ticket caches. */
import { isAdError } from '../../errors.ts';
import { UsageError } from '../../flags.ts';
import { cacheOf } from '../../krb5/files/ccache-collection.ts';
import { type Command, text } from '../command.ts';
import { loadConfig } from './config.ts';
import { caches, principalOf } from './session.ts';

export const kdestroy: Command = {
  name: 'kdestroy',
  summary: 'remove a ticket cache',
  description: 'Writes zeros over the ticket cache and removes it.',
  flags: {
    all: { type: 'boolean', short: 'A', help: 'every cache of the collection' },
    cache: { type: 'string', short: 'c', value: 'NAME', completes: 'file', help: 'this cache' },
    principal: { type: 'string', short: 'p', value: 'PRINCIPAL', help: "the collection's cache of this principal" },
    quiet: { type: 'boolean', short: 'q', help: 'do not say that there is none' },
  },
  async run(parsed, terminal) {
    const { flags } = parsed;
    if (flags.all && (flags.cache !== undefined || flags.principal !== undefined))
      throw new UsageError('-A goes with neither -c nor -p');
    const config = await loadConfig(terminal);
    const collection = caches(text(parsed, 'cache'), config, terminal);
    const who = text(parsed, 'principal');
    if (flags.all) {
      for (const cache of await collection.list()) await cache.destroy();
      return;
    }
    const cache = who === undefined ? await collection.primary() : await cacheOf(collection, principalOf(who, config));
    try {
      if (!cache) throw new UsageError(`there is no cache of ${who}`);
      await cache.destroy();
    } catch (e) {
      if (!isAdError(e, 'NOT_FOUND')) throw e;
      if (!flags.quiet) terminal.err('kdestroy: No credentials cache found while destroying cache\n');
    }
    const others = await collection.list();
    if (others.length > 0 && !flags.quiet) terminal.err('Other credential caches present, use -A to destroy all\n');
  },
};
