#!/usr/bin/env node
/** `heddle`: the one command for people. */
import process from 'node:process';
import { runProgram } from '@heddle/worker/command';
import { coordinatorProgram } from './coordinator-program.ts';

process.exit(await runProgram(coordinatorProgram(), process.argv.slice(2)));
