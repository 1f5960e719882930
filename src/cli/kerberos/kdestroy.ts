/** Removes ticket caches. */
import { AdError, isAdError } from '../../errors.ts';
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
    all: { type: 'boolean', short: 'A', help: 'every cache of the collection, which -c may name' },
    cache: {
      type: 'string',
      short: 'c',
      value: 'NAME',
      completes: 'file',
      help: 'this cache, or with -A and -p the collection',
    },
    principal: { type: 'string', short: 'p', value: 'PRINCIPAL', help: "the collection's cache of this principal" },
    quiet: { type: 'boolean', short: 'q', help: 'do not say that there is none' },
  },
  async run(parsed, terminal) {
    const { flags } = parsed;
    if (flags.all && flags.principal !== undefined) throw new UsageError('-A and -p exclude each other');
    const config = await loadConfig(terminal);
    const collection = caches(text(parsed, 'cache'), config, terminal);
    const who = text(parsed, 'principal');
    if (flags.all) {
      for (const cache of await collection.list()) await cache.destroy();
      return;
    }
    const cache = who === undefined ? await collection.primary() : await cacheOf(collection, principalOf(who, config));
    if (!cache) throw new AdError('NOT_FOUND', `there is no ticket cache of ${who} in the collection`);
    try {
      await cache.destroy();
    } catch (e) {
      if (!isAdError(e, 'NOT_FOUND')) throw e;
      if (!flags.quiet) terminal.err('kdestroy: No credentials cache found while destroying cache\n');
    }
    const others = await collection.list();
    if (others.length > 0 && !flags.quiet) terminal.err('Other credential caches present, use -A to destroy all\n');
  },
};
