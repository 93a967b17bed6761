/**
 * One zod schema says everything about a command's settings; from it come the flags, the names in the environment,
 * the keys of the JSON file, `--help` and every refusal. Flags win over the environment, it over the file, and that
 * over the defaults.
 */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { UsageFailure } from './failure.ts';

/** What a field of the schema says of itself with `.meta({…})`. */
export interface SettingMeta {
  /** For `--help`. */
  readonly description: string;
  /** What stands for the value in `--help`: `NAME`. A boolean needs none. */
  readonly argument?: string;
  /** One letter, for the short flag. */
  readonly short?: string;
  /** How the default is worded in `--help`, where its value would not tell. */
  readonly shownDefault?: string;
  /** Other variables of the environment that are looked at after `HEDDLE_…`. */
  readonly otherEnv?: readonly string[];
  /** Its value may hold a password, also where it is none that it should be. */
  readonly secret?: boolean;
}

export type SettingsSchema = z.ZodObject<Readonly<Record<string, z.ZodType>>>;

/** `gracePeriod` → `--grace-period`. */
export const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** `gracePeriod` → `HEDDLE_GRACE_PERIOD`. */
export const envOf = (key: string): string => `HEDDLE_${key.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;

/** Gives a command one flag for each field of the schema, and `--config FILE` where `withFile` says so. */
export function addFlags(command: Command, schema: SettingsSchema, { withFile = false } = {}): Command {
  for (const [key, field] of Object.entries(schema.shape)) {
    const meta = metaOf(field);
    const argument = kindOf(field) === 'boolean' ? '' : ` <${meta.argument ?? key}>`;
    const option = new Option(
      `${meta.short ? `-${meta.short}, ` : ''}${flagOf(key)}${argument}`,
      `${meta.description}${shownDefault(field, meta)} [${envOf(key)}]`,
    );
    command.addOption(option);
  }
  if (withFile) {
    command.option(
      '--config <FILE>',
      'read settings from a JSON file, keys as the flags in camelCase [HEDDLE_CONFIG]',
    );
  }
  return command;
}

/** Where settings come from. */
export interface SettingSources {
  /** As commander gives them: keys in camelCase. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: NodeJS.ProcessEnv;
  /** If given, a `HEDDLE_…` variable that looks like a misspelt one of the schema's is refused, unless it is one of these. */
  readonly alsoInEnv?: readonly string[];
}

interface Layer {
  readonly values: Readonly<Record<string, unknown>>;
  /** How a key of this layer is called in a message. */
  name(key: string): string;
  /** What is told of those in it that are no settings. */
  readonly unknown: readonly string[];
}

/**
 * Merges flags, environment, file and defaults, and checks the outcome. Throws a `UsageFailure` that lists everything
 * that is wrong, each with the place it came from; a file that can't be read is told alone.
 */
export function readSettings<S extends SettingsSchema>(schema: S, sources: SettingSources): z.output<S> {
  const { config, ...flags } = sources.flags;
  const file = config ?? sources.env.HEDDLE_CONFIG;
  const layers = [
    flagLayer(schema, flags),
    envLayer(schema, sources),
    ...(typeof file === 'string' && file !== '' ? [fileLayer(schema, file)] : []),
  ];
  const merged: Record<string, unknown> = {};
  for (const key of Object.keys(schema.shape)) {
    const found = layers.find((layer) => layer.values[key] !== undefined);
    if (found) merged[key] = found.values[key];
  }
  const checked = schema.safeParse(merged);
  const unknown = layers.flatMap((layer) => layer.unknown);
  if (checked.success && unknown.length === 0) return checked.data;
  const issues = checked.error?.issues ?? [];
  throw new UsageFailure(
    [...unknown, ...issues.map((issue) => tellIssue(schema, issue, merged, layers))].join('\n'),
  );
}

function flagLayer(schema: SettingsSchema, flags: Readonly<Record<string, unknown>>): Layer {
  return { values: fromText(schema, flags), name: flagOf, unknown: [] };
}

function envLayer(schema: SettingsSchema, { env, alsoInEnv }: SettingSources): Layer {
  const values: Record<string, unknown> = {};
  const names: Record<string, string> = {};
  for (const [key, field] of Object.entries(schema.shape)) {
    const name = [envOf(key), ...(metaOf(field).otherEnv ?? [])].find((candidate) => env[candidate]);
    if (name === undefined) continue;
    values[key] = env[name];
    names[key] = name;
  }
  const unknown = alsoInEnv === undefined ? [] : misspeltIn(schema, env, alsoInEnv);
  return { values: fromText(schema, values), name: (key) => names[key] ?? envOf(key), unknown };
}

/** Others may use the prefix too, so that only a likely mistake is one. */
function misspeltIn(schema: SettingsSchema, env: NodeJS.ProcessEnv, also: readonly string[]): string[] {
  const known = [...Object.keys(schema.shape), 'config'].map(envOf);
  const misspelt = Object.keys(env).filter(
    (name) =>
      name.startsWith('HEDDLE_') && !known.includes(name) && !also.includes(name) && nearest(name, known),
  );
  return misspelt.map((name) => `${name}: no such setting${suggest(name, known)}`);
}

function fileLayer(schema: SettingsSchema, file: string): Layer {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageFailure(`--config ${file}: ${error instanceof Error ? error.message : error}`);
  }
  if (content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw new UsageFailure(`--config ${file}: has to hold one JSON object such as { "threads": 4 }`);
  }
  const known = Object.keys(schema.shape);
  const unknown = Object.keys(content)
    .filter((key) => !known.includes(key))
    .map((key) => `${file}: no such setting: "${key}"${suggest(key, known)}`);
  return { values: { ...content }, name: (key) => `"${key}" in ${file}`, unknown };
}

/** Flags and variables are text: what looks like a number where one is wanted becomes one, the rest the schema refuses. */
function fromText(
  schema: SettingsSchema,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const field = schema.shape[key];
      if (field === undefined || typeof value !== 'string') return [key, value];
      const kind = kindOf(field);
      if (kind === 'number' && /^-?\d+(\.\d+)?$/.test(value.trim())) return [key, Number(value)];
      if (kind === 'boolean' && /^(true|1|yes|on)$/i.test(value)) return [key, true];
      if (kind === 'boolean' && /^(false|0|no|off)$/i.test(value)) return [key, false];
      return [key, value];
    }),
  );
}

function tellIssue(
  schema: SettingsSchema,
  issue: z.core.$ZodIssue,
  merged: Readonly<Record<string, unknown>>,
  layers: readonly Layer[],
): string {
  const key = String(issue.path[0]);
  const layer = layers.find((candidate) => candidate.values[key] !== undefined);
  if (layer === undefined) return `${flagOf(key)} is missing (or ${envOf(key)}): ${issue.message}`;
  const told = `${layer.name(key)}: ${issue.message}`;
  return metaOf(schema.shape[key] as z.ZodType).secret === true
    ? `${told} (what it is is not shown: it may hold a password, whose special characters a URL wants as %2F and the like)`
    : `${told}, not ${JSON.stringify(merged[key])}`;
}

function metaOf(field: z.ZodType): SettingMeta {
  const { description = '', ...meta } = field.meta() ?? {};
  return { ...meta, description };
}

/** The zod type under defaults and optionals. */
function kindOf(field: z.ZodType): string {
  let inner: z.core.$ZodType = field;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional) inner = inner.unwrap();
  return inner._zod.def.type;
}

function shownDefault(field: z.ZodType, meta: SettingMeta): string {
  if (meta.shownDefault !== undefined) return ` (default: ${meta.shownDefault})`;
  const probe = field.safeParse(undefined);
  return probe.success && probe.data !== undefined && probe.data !== false ? ` (default: ${probe.data})` : '';
}

/** `; did you mean X?`, where one known word is near; else all of them. */
export function suggest(word: string, known: readonly string[]): string {
  const best = nearest(word, known);
  return best === undefined ? `; known: ${known.join(', ')}` : `; did you mean ${best}?`;
}

/** The known word that is at most two edits away. */
function nearest(word: string, known: readonly string[]): string | undefined {
  return known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
