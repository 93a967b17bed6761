/** Context variables that submitters and tasks of the specs share. */
import { ContextVar } from '@heddle/pool/task';

export const requestId = new ContextVar<string>('requestId', { default: 'none' });
export const secret = new ContextVar<string>('secret', { propagate: false });
