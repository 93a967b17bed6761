/** What the command lines of this repository share; the coordinator's imports it too. */
export { exitCode, exitCodeOfSignal } from './command/exit-code.ts';
export { CommandFailure, describeFailure, exitCodeOf, hideSecrets, UsageFailure } from './command/failure.ts';
export {
  distributedName,
  logFormatField,
  logLevelField,
  namespaceField,
  redisField,
  redisMeta,
  whole,
} from './command/fields.ts';
export { type LogSettings, openLog } from './command/log.ts';
export { program, runProgram, versionOf } from './command/program.ts';
export { addFlags, readSettings, type SettingsSchema } from './command/settings.ts';
export { type SignalWatch, watchSignals } from './command/signals.ts';
