/** What every command line of ours does alike: its version, its refusals, its last word. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Command } from 'commander';
import { exitCode } from './exit-code.ts';
import { describeFailure, exitCodeOf } from './failure.ts';

/** The version in the package.json next to `src` or `dist`. `url` is the `import.meta.url` of a file right in there. */
export function versionOf(url: string): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', url), 'utf8')) as {
    version: string;
  };
  return version;
}

/** A commander program that throws where it would exit, so that one place decides on the exit code. */
export function program(name: string, version: string): Command {
  return new Command(name)
    .version(version, '-V, --version', 'print the version and end')
    .helpOption('-h, --help', 'print this and end')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${name}: ${text.replace(/^error: /, '')}`) })
    .showSuggestionAfterError();
}

/** Parses and runs the command line, waits until all it said is written, and gives the exit code. Never rejects. */
export async function runProgram(command: Command, argv: readonly string[]): Promise<number> {
  let trouble: NodeJS.ErrnoException | undefined;
  process.stdout.on('error', (error) => {
    trouble ??= error;
  });
  process.stderr.on('error', () => {});
  const code = await run(command, argv);
  // Who reads slowly has not read all of it yet, and the exit that follows waits for nobody.
  await Promise.all([written(process.stdout), written(process.stderr)]);
  // Whoever reads the output may have seen enough (`| head`): the program ends as it would have.
  if (trouble === undefined || trouble.code === 'EPIPE' || code !== exitCode.ok) return code;
  process.stderr.write(`${command.name()}: the output can't be written (${trouble.message})\n`);
  return exitCode.failed;
}

const written = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write('', () => resolve()));

async function run(command: Command, argv: readonly string[]): Promise<number> {
  try {
    await command.parseAsync([...argv], { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : exitCode.ok;
  } catch (error) {
    const ended = endOfCommander(error);
    if (ended !== undefined) return ended;
    for (const line of describeFailure(error).split('\n'))
      process.stderr.write(`${command.name()}: ${line}\n`);
    return exitCodeOf(error);
  }
}

/** Commander ends by an exception, also where it printed what was asked for. Known by its name: each app may have a copy. */
function endOfCommander(error: unknown): number | undefined {
  if (!(error instanceof Error) || error.name !== 'CommanderError' || !('exitCode' in error))
    return undefined;
  return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
}
