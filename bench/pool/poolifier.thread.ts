import { ThreadWorker } from 'poolifier';
import { burn, noop } from './tasks.ts';

export default new ThreadWorker({
  noop: () => noop(),
  burn: (steps?: number) => burn(steps ?? 0),
});
