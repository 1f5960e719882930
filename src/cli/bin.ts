/** Runs the command line client as a program. */
import { exitCode, main } from './main.ts';
import { systemTerminal } from './terminal.ts';

// Whoever read the output has gone, as `head` does: there is nobody left to tell.
process.stdout.on('error', (e: NodeJS.ErrnoException) =>
  process.exit(e.code === 'EPIPE' ? exitCode.OK : exitCode.FAILED),
);

process.exit(await main(process.argv.slice(2), systemTerminal()));
