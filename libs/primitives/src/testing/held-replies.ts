/** A session that hears late: messages, and the answers to its other calls, come before. */
import { coreOf, type Session } from '../session.distributed.ts';

/** From here on `session` hears no answer to `operation`, which takes effect, until what this gives is called. */
export function holdReplies(session: Session, operation: string): () => void {
  const { line } = coreOf(session);
  const { promise: heard, resolve } = Promise.withResolvers<void>();
  const sent = line.evalsha.bind(line);
  line.evalsha = async (...call) => {
    const reply = await sent(...call);
    if (call.join().includes(operation)) await heard;
    return reply;
  };
  return resolve;
}
