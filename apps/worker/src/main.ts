#!/usr/bin/env node
/** `heddle-worker`: runs the jobs of one queue on the threads of one process. */
import process from 'node:process';
import { runProgram } from './command/program.ts';
import { workerProgram } from './worker-program.ts';

// The tasks' modules may have left timers and sockets behind; the worker's own work is done.
process.exit(await runProgram(workerProgram(), process.argv.slice(2)));
