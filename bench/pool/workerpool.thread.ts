import { worker } from 'workerpool';
import { burn, noop } from './tasks.ts';

worker({ noop, burn });
