// What both commands need before they can do their work. It runs on Node 20 with nothing installed, so it is plain
// JavaScript and imports only what Node brings along.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === 'win32';

/** The Node that the workspace pins. npm installs it like any other package. */
export const pinnedNode = join(root, 'node_modules', 'node', 'bin', windows ? 'node.exe' : 'node');

/** The JavaScript file behind a command that an installed package brings. */
export function program(name) {
  return realpathSync(join(root, 'node_modules', '.bin', name));
}

/** One line on stderr: stdout belongs to the command itself. */
export function say(line) {
  console.error(`heddle: ${line}`);
}

/** Nx without what waits for a person, stays behind, or calls out. */
export function quietNx(env) {
  return { ...env, NX_DAEMON: 'false', NX_TUI: 'false', NX_NO_CLOUD: 'true' };
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Whether `node_modules` holds what the lock file names. npm leaves its own account of what it installed, written
 * last, so an install that was cut short or is older than the lock shows there. Optional packages may be for
 * another platform: absent is fine, another version is not.
 */
export function isInstalled(directory = root) {
  const wanted = readJson(join(directory, 'package-lock.json'))?.packages;
  const found = readJson(join(directory, 'node_modules', '.package-lock.json'))?.packages;
  if (!wanted || !found) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true;
    const present = found[path];
    if (!present) return entry.optional === true || entry.devOptional === true;
    return present.version === entry.version && present.integrity === entry.integrity;
  });
}

/** The PATH without this repository's programs, and a Node that does not vanish when `npm ci` empties `node_modules`. */
function outsideNode() {
  const modules = join(root, 'node_modules') + sep;
  const directories = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => !`${directory}${sep}`.startsWith(modules));
  const candidates = [
    process.execPath,
    ...directories.map((directory) => join(directory, windows ? 'node.exe' : 'node')),
  ];
  const node = candidates.find((path) => !path.startsWith(modules) && existsSync(path)) ?? process.execPath;
  return { node, path: directories.join(delimiter) };
}

/** Installs the dependencies where they are missing or not those of the lock file. */
export async function ensureInstalled() {
  if (isInstalled() && existsSync(pinnedNode)) return;
  say('installing dependencies (npm ci) …');
  const { node, path } = outsideNode();
  const npm = process.env.npm_execpath;
  const install = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const env = { ...process.env, PATH: path };
  const outcome = npm
    ? await run(node, [npm, ...install], { env, quiet: true })
    : await run(windows ? 'npm.cmd' : 'npm', install, { env, quiet: true });
  if (outcome.code !== 0)
    await endLike(outcome, 'the dependencies could not be installed; npm has said why above.');
  if (!existsSync(pinnedNode)) {
    say(
      `npm ci did not bring the pinned Node (${pinnedNode}). Are install scripts switched off (npm config get ignore-scripts)?`,
    );
    process.exit(1);
  }
}

/** Sees to it that a Redis can be had, by the rules of @heddle/embedded-redis. */
export async function ensureRedis() {
  const outcome = await run(pinnedNode, ['--conditions=@heddle/source', join(root, 'scripts', 'redis.ts')]);
  if (outcome.code !== 0) await endLike(outcome);
}

/** What a child needs to find the pinned Node and the workspace's programs by name. */
export function workspaceEnv() {
  return { ...process.env, PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter) };
}

/**
 * Runs a program in the foreground and resolves to how it ended. A signal sent to us goes on to it, and we wait for it
 * to end in its own way. Ctrl-C on a terminal reaches the whole foreground group by itself; passed on as well, the
 * child would take it for a second, impatient one. A quiet one is heard only if it fails.
 */
export function run(program, args, { env = process.env, cwd = root, quiet = false } = {}) {
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['inherit', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
  });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
  const last = new Map();
  const forward = (signal) => {
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    // npm passes a signal on that the group may have received already: one in quick succession is the same one.
    const now = performance.now();
    if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < 500) return;
    last.set(signal, now);
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve) => {
    const settle = (outcome) => {
      for (const signal of signals) process.off(signal, forward);
      resolve(outcome);
    };
    child.once('error', (error) => {
      say(`${program} could not be started: ${error.message}`);
      settle({ code: 127, signal: null });
    });
    child.once('close', (code, signal) => {
      if (code !== 0) process.stderr.write(Buffer.concat(output));
      settle({ code, signal });
    });
  });
}

/** Ends this process as its child ended: the same exit code, or the same signal. */
export function endLike({ code, signal }, reason) {
  if (reason) say(reason);
  if (signal) {
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(1), 1_000); // where the signal is not deadly here
    return new Promise(() => {});
  }
  process.exit(code ?? 1);
}
