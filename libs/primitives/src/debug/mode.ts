/** Whether debug mode is on for locks that do not say: `HEDDLE_DEBUG=1` in the environment the thread began with. */
export const debugByDefault: boolean = process.env.HEDDLE_DEBUG === '1';
