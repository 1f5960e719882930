/** Runs the command line client as a program. */
import { main } from './main.ts';
import { systemTerminal } from './terminal.ts';

process.exit(await main(process.argv.slice(2), systemTerminal()));
